//! Release builds hold the page's files, each as it is and compressed as far as it can be. Other builds read them where
//! they are in the checkout.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

#[allow(dead_code)] // A build needs a part of it.
#[path = "src/http/assets/tree.rs"]
mod tree;

/// Brotli's best quality.
const BROTLI_QUALITY: u32 = 11;

/// Brotli's window, as a power of two: more than the largest file.
const BROTLI_WINDOW: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(embedded)");
    if env::var("PROFILE")? != "release" {
        return Ok(());
    }
    println!("cargo:rerun-if-changed=src/http/assets/tree.rs");
    println!("cargo:rerun-if-changed=viewer");
    println!("cargo:rustc-cfg=embedded");
    let folder = env::var("OUT_DIR")?;
    let folder = Path::new(&folder);
    let mut list = String::from("[\n");
    for (number, tree::File { path, data }) in tree::read(Path::new("viewer"))?.iter().enumerate() {
        let copies = [("plain", data.clone()), ("br", brotli(data)?), ("gz", gzip(data)?)];
        write!(list, "    ({path:?}")?;
        for (ending, copy) in copies {
            let copy_path = folder.join(format!("{number}.{ending}"));
            fs::write(&copy_path, copy)?;
            write!(list, ", include_bytes!({:?})", copy_path.display().to_string())?;
        }
        list.push_str("),\n");
    }
    fs::write(folder.join("assets.rs"), list + "]\n")?;
    Ok(())
}

fn brotli(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, BROTLI_WINDOW);
    writer.write_all(data)?;
    writer.flush()?;
    Ok(writer.into_inner())
}

fn gzip(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(data)?;
    writer.finish()
}
