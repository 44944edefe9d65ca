//! What every database of this program has in common: private files, pragmas, migrations, and one thread that writes
//! and commits in groups. Knows no tables.

mod connection;
mod erasure;
mod writer;

pub use connection::{
    BeforeMigration, CopyError, Hold, PathError, StartupError, at, beside, check_private, checkpoint,
    copy_to, lock, open, open_and_migrate, open_migrated, private_dir, private_file, sync_dir,
};
pub use erasure::Erasure;
pub use writer::{Commit, WriteError, Writer};
