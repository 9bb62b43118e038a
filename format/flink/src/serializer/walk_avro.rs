//! Avro's values in Flink's form of them, which is not Avro's binary encoding (SPEC.md, "Avro").

use super::avro::{Avro, AvroType, TypeId};
use super::sink::{Group, Keys, Sink};
use super::walk::{Walk, indexed};
use crate::{Input, Result};

impl Walk {
    pub(crate) fn avro<S: Sink>(
        &mut self,
        avro: &Avro,
        id: TypeId,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        self.enter(input, sink)?;
        let at = input.clone();
        match avro.of(id) {
            AvroType::Null => sink.unit(),
            AvroType::Boolean => sink.boolean(input.bool()?),
            AvroType::Int => sink.integer(input.i32()?.into()),
            AvroType::Long => sink.integer(input.i64()?),
            AvroType::Float => sink.float(input.f32()?),
            AvroType::Double => sink.double(input.f64()?),
            AvroType::Bytes => sink.bytes(input.bytes32()?),
            AvroType::String => text(input, sink)?,
            AvroType::Fixed { len_bytes, .. } => sink.bytes(input.take(*len_bytes)?),
            AvroType::Enum { name, symbols } => {
                let index = input.i32()?;
                let symbol = indexed(symbols, index);
                sink.constant(
                    symbol
                        .ok_or_else(|| at.corrupt(format!("enum {name} has no symbol {index}")))?,
                );
            }
            AvroType::Array(element) => {
                sink.open();
                let count = self.blocks(input, |walk, i, input| {
                    sink.item(i);
                    walk.avro(avro, *element, input, sink)
                })?;
                sink.close(Group::Seq, count);
            }
            AvroType::Map(value) => {
                sink.open_map();
                let count = self.blocks(input, |walk, i, input| {
                    sink.key(i);
                    text(input, sink)?;
                    sink.value();
                    walk.avro(avro, *value, input, sink)
                })?;
                sink.close_map(count, Keys::Text);
            }
            AvroType::Nullable { null_at, inner } => match input.i32()? {
                index if index == *null_at => sink.null(),
                0 | 1 => {
                    self.avro(avro, *inner, input, sink)?;
                    sink.some();
                }
                index => return Err(at.corrupt(format!("a union has no branch {index}"))),
            },
            AvroType::Union(branches) => {
                let index = input.i32()?;
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                let (name, inner) =
                    branch.ok_or_else(|| at.corrupt(format!("a union has no branch {index}")))?;
                self.avro(avro, *inner, input, sink)?;
                sink.of_class(name);
            }
            AvroType::Record { fields, by_name, .. } => {
                sink.open_struct();
                for (i, (name, of)) in fields.iter().enumerate() {
                    sink.field(i, name, by_name.is_some());
                    self.avro(avro, *of, input, sink)?;
                }
                sink.close_struct(fields.iter().map(|(name, _)| &name.name), by_name.as_deref());
            }
        }
        self.leave();
        Ok(())
    }

    /// Items in blocks, each behind its count, up to one of none; how many there were.
    fn blocks(
        &mut self,
        input: &mut Input<'_>,
        mut item: impl FnMut(&mut Self, usize, &mut Input<'_>) -> Result<()>,
    ) -> Result<usize> {
        let mut count = 0;
        loop {
            let block = block_count(input)?;
            if block == 0 {
                return Ok(count);
            }
            for _ in 0..block {
                item(self, count, input)?;
                count += 1;
            }
        }
    }
}

fn block_count(input: &mut Input<'_>) -> Result<u64> {
    let at = input.clone();
    let mut count = 0_u64;
    for shift in (0..63).step_by(7) {
        let byte = input.u8()?;
        count |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(count);
        }
    }
    Err(at.corrupt("the count of a block does not fit in 63 bits"))
}

fn text<S: Sink>(input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    super::walk::utf8(input, sink)
}
