//! Snapshots of classes with parts of their own: enums, POJOs, Kryo, Avro, SQL's types.

use super::avro::Avro;
use super::kind::{Constant, Kind, Pojo, PojoField, Subclass, order_by_name};
use super::logical::Logical;
use super::read::Reader;
use crate::text::{read_string, read_utf};
use crate::{FormatErrorKind, Input, Result};
use std::sync::Arc;

/// Begins a map whose keys and values may be missing.
pub(crate) const OPTIONAL_MAP: i64 = 5_440_760_593_776;
/// The fewest bytes of an entry of one: the length of its name, and two flags.
const OPTIONAL_ENTRY_LEN_BYTES_MIN: usize = 4;

/// A frame of a map: its bytes and where in their stream they begin.
type Frame<'a> = Option<Input<'a>>;

impl<'a> Reader<'_, 'a> {
    pub(crate) fn enumeration(&mut self) -> Result<Kind> {
        let at = self.input.clone();
        let class = read_utf(self.input)?;
        let count = self.input.count(2)?;
        let constants = (0..count).map(|_| Ok(Constant::new(&read_utf(self.input)?)));
        let constants: Vec<Constant> = constants.collect::<Result<_>>()?;
        order_by_name(constants.iter().map(|constant| &*constant.name))
            .map_err(|twice| at.corrupt(format!("enum {class} has two constants {twice}")))?;
        Ok(Kind::Enum { class: class.into(), constants })
    }

    /// Calls `each` with the name and the value of every entry of a map.
    fn optional_map(
        &mut self,
        mut each: impl FnMut(&mut Self, String, Frame<'a>) -> Result<()>,
    ) -> Result<()> {
        let at = self.input.clone();
        let found = self.input.i64()?;
        if found != OPTIONAL_MAP {
            return Err(at.corrupt(format!("a map begins {found}, not {OPTIONAL_MAP}")));
        }
        for _ in 0..self.input.count(OPTIONAL_ENTRY_LEN_BYTES_MIN)? {
            let name = read_utf(self.input)?;
            self.optional_frame()?;
            let value = self.optional_frame()?;
            each(self, name, value)?;
        }
        Ok(())
    }

    fn optional_frame(&mut self) -> Result<Frame<'a>> {
        if !self.input.bool()? {
            return Ok(None);
        }
        let len = self.input.count(1)?;
        let start = self.input.offset();
        let bytes = self.input.take(len)?;
        Ok(Some(Input::new("serializer snapshot", bytes).based_at(start)))
    }

    pub(crate) fn pojo(&mut self) -> Result<Kind> {
        let at = self.input.clone();
        let class = read_utf(self.input)?;
        let (mut fields, mut subclasses) = (Vec::new(), Vec::new());
        // Without the serializer of one, nothing after it can be read.
        let mut all_known = true;
        self.optional_map(|reader, name, value| {
            match reader.framed(value)? {
                Some(serializer) => {
                    fields.push(PojoField { name: Constant::new(&name), serializer });
                }
                None => all_known = false,
            }
            Ok(())
        })?;
        for registered in [true, false] {
            self.optional_map(|reader, name, value| {
                match reader.framed(value)? {
                    Some(serializer) => {
                        let class = name.into();
                        subclasses.push(Subclass { class, registered, serializer });
                    }
                    None => all_known = false,
                }
                Ok(())
            })?;
        }
        if !all_known {
            return Ok(Kind::Opaque);
        }
        match Pojo::new(class.as_str().into(), fields, subclasses) {
            Ok(pojo) => Ok(Kind::Pojo(Box::new(pojo))),
            Err(twice) => Err(at.corrupt(format!("{class} has two fields {twice}"))),
        }
    }

    fn framed(&mut self, frame: Frame<'a>) -> Result<Option<super::Serializer>> {
        let Some(mut frame) = frame else { return Ok(None) };
        let whole = frame.clone();
        let mut reader = self.within(&mut frame);
        let start = reader.at();
        match reader.snapshot() {
            Ok(serializer) => {
                frame.end()?;
                Ok(Some(serializer))
            }
            // The frame says where what is not known ends.
            Err(error) if error.kind == FormatErrorKind::UnsupportedVersion => {
                let range = start..start.saturating_add(whole.remaining());
                let class = read_utf(&mut whole.clone())?;
                Ok(Some(super::Serializer::parsed(class, Kind::Opaque, range)))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn kryo(&mut self) -> Result<Kind> {
        read_utf(self.input)?;
        for _ in 0..3 {
            self.optional_map(|_, _, _| Ok(()))?;
        }
        Ok(Kind::Opaque)
    }

    pub(crate) fn avro(&mut self, version: i32) -> Result<Kind> {
        let at = self.input.clone();
        let schema = match version {
            1 => read_utf(self.input)?,
            2 => {
                read_utf(self.input)?;
                read_utf(self.input)?
            }
            _ => {
                read_string(self.input)?;
                read_string(self.input)?.unwrap_or_default()
            }
        };
        let avro = Avro::parse(&schema).map_err(|why| at.corrupt(format!("Avro schema: {why}")))?;
        Ok(if avro.is_expandable() { Kind::Avro(Arc::new(avro)) } else { Kind::Opaque })
    }

    pub(crate) fn row_data(&mut self) -> Result<Kind> {
        let count = self.input.count(5)?;
        let types: Vec<Logical> = (0..count).map(|_| self.logical()).collect::<Result<_>>()?;
        self.nested()?;
        Ok(Kind::RowData(types))
    }

    pub(crate) fn array_data(&mut self) -> Result<Kind> {
        let element = self.logical()?;
        self.java_object()?;
        Ok(Kind::ArrayData(Box::new(element)))
    }

    pub(crate) fn map_data(&mut self) -> Result<Kind> {
        let (key, value) = (self.logical()?, self.logical()?);
        self.java_object()?;
        self.java_object()?;
        Ok(Kind::MapData(Box::new(key), Box::new(value)))
    }
}
