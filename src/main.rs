//! The binary: everything is in the library.

use std::process::ExitCode;

/// Measured against the system's: 64 clients sync a fifth faster, and 1,000 viewers get a quarter more.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    brutus_share::cli::run(std::env::args_os())
}
