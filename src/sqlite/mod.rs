//! What every database of this program has in common: private files, pragmas, migrations, and one thread that writes and
//! commits in groups. Knows no tables.

mod connection;
mod writer;

pub use connection::{PathError, StartupError, lock, open, open_and_migrate, private_dir, private_file};
pub use writer::{WriteError, Writer};
