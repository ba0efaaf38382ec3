//! `dense FILE.gguf FOLDER`: the weights of a GGUF file as f32 in a Hugging Face folder, for toolkits that read no blocks.

use std::error::Error;
use std::path::Path;

use model::weights::{Gguf, convert_to_folder};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(file), Some(folder)) = (args.next(), args.next()) else {
        return Err("usage: dense FILE.gguf FOLDER".into());
    };
    std::fs::create_dir_all(&folder)?;
    convert_to_folder(&Gguf::read(Path::new(&file))?, Path::new(&folder))?;
    Ok(())
}
