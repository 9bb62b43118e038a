//! How many bytes values take, as Java's `getLength()` says, which is not always what they take.

use super::Serializer;
use super::kind::{Kind, Simple};
use super::logical::MILLIS_PRECISION_MAX;

impl Serializer {
    /// What Java's `getLength()` says: the bytes that every value takes; `None` where they differ. It decides the form
    /// of keys; that of `VoidNamespace` is 0, though it takes a byte.
    pub fn length(&self) -> Option<usize> {
        match &self.kind {
            Kind::Simple(simple) => simple.length(),
            Kind::Wrapped(inner) => inner.length(),
            Kind::Tuple { fields, .. } => tuple(fields.iter()),
            Kind::Ttl(inner) => sum(&[Some(8), inner.length()]),
            Kind::Timer { key, namespace } => sum(&[Some(8), key.length(), namespace.length()]),
            Kind::Nullable { padding: 0, .. } => None,
            Kind::Nullable { padding, .. } => padding.checked_add(1),
            Kind::Enum { .. } => Some(4),
            Kind::TimestampData { precision } => {
                Some(if *precision <= MILLIS_PRECISION_MAX { 8 } else { 12 })
            }
            _ => None,
        }
    }
}

fn sum(parts: &[Option<usize>]) -> Option<usize> {
    parts.iter().try_fold(0_usize, |sum, part| sum.checked_add((*part)?))
}

/// A tuple with a part of no length has none that is fixed.
fn tuple<'s>(mut fields: impl Iterator<Item = &'s Serializer>) -> Option<usize> {
    fields.try_fold(0_usize, |sum, field| {
        sum.checked_add(field.length().filter(|length| *length > 0)?)
    })
}

impl Simple {
    fn length(self) -> Option<usize> {
        Some(match self {
            Self::Scalar(of) | Self::Boxed(of) => of.len_bytes(),
            Self::VoidNamespace | Self::NullValue => 0,
            Self::Void | Self::GlobalWindow | Self::Tuple0 | Self::Null => 1,
            Self::LocalDate => 6,
            Self::LocalTime => 7,
            Self::LocalDateTime => 13,
            Self::Instant | Self::SqlTimestamp => 12,
            Self::Date | Self::SqlDate | Self::SqlTime | Self::CountWindow | Self::SortedLong => 8,
            Self::TimeWindow => 16,
            _ => return None,
        })
    }
}
