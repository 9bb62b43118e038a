//! Text of `_metadata`: `writeUTF`, of which only what can be written again as it was is read.

use crate::text::{read_utf, write_utf};
use crate::{Input, Result};

pub(super) fn read(input: &mut Input<'_>) -> Result<String> {
    let at = input.clone();
    let text = read_utf(input)?;
    let stored = input.since(at.position());
    // Java writes a NUL in two bytes, and reads one of a byte too.
    if stored.get(2..) != Some(text.as_bytes()) || text.contains('\0') {
        let mut again = Vec::with_capacity(stored.len());
        write_utf(&text, &mut again)?;
        if again != stored {
            return Err(at.corrupt("text is not as Java writes it, or has half a surrogate pair"));
        }
    }
    Ok(text)
}

pub(super) fn write(text: &str, out: &mut Vec<u8>) -> Result<()> {
    write_utf(text, out)
}
