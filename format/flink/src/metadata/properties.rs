//! What stands at the end of `_metadata` from version 4 on: a Java object, `CheckpointProperties`.
//!
//! Flink from 1.16 to 2.3 writes the same bytes for the same kind of snapshot, so they are made and recognized whole; of
//! others no more is looked at than where they end.

use crate::{FormatError, FormatErrorKind, Input, Output, Result, java};

/// The kind of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotType {
    /// A savepoint in the format that every backend restores.
    CanonicalSavepoint,
    /// A savepoint in the format of its backend.
    NativeSavepoint,
    /// A checkpoint.
    Checkpoint,
}

const STREAM: &[u8] = &[0xac, 0xed, 0, 5];
/// The end of a class's fields, and that it extends no other.
const NO_SUPER: &[u8] = b"xp";
/// Of an enum: version 0, a serializable enum, without fields.
const ENUM: &[u8] = b"\0\0\0\0\0\0\0\0\x12\0\0x";

const PROPERTIES: &str = "org.apache.flink.runtime.checkpoint.CheckpointProperties";
const FLAGS: [&str; 7] = [
    "discardCancelled",
    "discardFailed",
    "discardFinished",
    "discardSubsumed",
    "discardSuspended",
    "forced",
    "unclaimed",
];
const SAVEPOINT: &str = "org.apache.flink.runtime.checkpoint.SavepointType";
const SAVEPOINT_VERSION: i64 = 0xa087_d308_a458_14b8_u64.cast_signed();
const CHECKPOINT: &str = "org.apache.flink.runtime.checkpoint.CheckpointType";
const CHECKPOINT_VERSION: i64 = 0xd6de_4f03_05ae_1d3a_u64.cast_signed();
const SHARING: &str = "org.apache.flink.runtime.checkpoint.SnapshotType$SharingFilesStrategy";

/// The properties of a snapshot of this kind, for [`Metadata::properties`](super::Metadata::properties): a savepoint, or a
/// checkpoint that is retained when its job ends.
pub fn of(snapshot: SnapshotType) -> Vec<u8> {
    let mut out = front();
    match snapshot {
        SnapshotType::CanonicalSavepoint => {
            savepoint_front(&mut out);
            savepoint_back("CANONICAL", &mut out);
        }
        SnapshotType::NativeSavepoint => {
            savepoint_front(&mut out);
            savepoint_back("NATIVE", &mut out);
        }
        SnapshotType::Checkpoint => {
            out.extend([0, 0, 1, 1, 0, 0, 0]);
            checkpoint_front(&mut out);
            out.push(b't');
            put_text("Checkpoint", &mut out);
            out.extend_from_slice(b"~r");
            put_text(SHARING, &mut out);
            put_enum_class(&mut out);
            out.push(b't');
            put_text("FORWARD_BACKWARD", &mut out);
        }
    }
    out
}

/// Which kind of snapshot has these properties; `None` where they are not as Flink from 1.16 to 2.3 writes them.
pub fn snapshot_type(properties: &[u8]) -> Option<SnapshotType> {
    let rest = properties.strip_prefix(front().as_slice())?.get(FLAGS.len()..)?;
    let mut savepoint = Vec::new();
    savepoint_type(&mut savepoint);
    if let Some(rest) = rest.strip_prefix(savepoint.as_slice()) {
        let named = |name: &str| {
            let mut text = vec![b't'];
            put_text(name, &mut text);
            rest.starts_with(&text)
        };
        return match () {
            () if named("CANONICAL") => Some(SnapshotType::CanonicalSavepoint),
            () if named("NATIVE") => Some(SnapshotType::NativeSavepoint),
            () => None,
        };
    }
    let mut checkpoint = Vec::new();
    checkpoint_front(&mut checkpoint);
    rest.starts_with(&checkpoint).then_some(SnapshotType::Checkpoint)
}

/// That a Java object follows, up to the end; more of it no reader has to know.
pub(super) fn check(input: &Input<'_>) -> Result<()> {
    let mut object = input.clone();
    match java::read(&mut object) {
        Ok(_) => object.end(),
        // One that only Java code can read.
        Err(error) if error.kind == FormatErrorKind::UnsupportedVersion => Ok(()),
        Err(error) => {
            let message = format!(
                "the checkpoint's properties, a Java object, are cut off or damaged: {}",
                error.message
            );
            Err(FormatError { message, ..error })
        }
    }
}

fn front() -> Vec<u8> {
    let mut out = STREAM.to_vec();
    put_class(PROPERTIES, 2, FLAGS.len() as u16 + 1, &mut out);
    for flag in FLAGS {
        out.push(b'Z');
        put_text(flag, &mut out);
    }
    put_field("checkpointType", "Lorg/apache/flink/runtime/checkpoint/SnapshotType;", &mut out);
    out.extend_from_slice(NO_SUPER);
    out
}

fn savepoint_front(out: &mut Vec<u8>) {
    // Forced: no other checkpoint puts it off.
    out.extend([0, 0, 0, 0, 0, 1, 0]);
    savepoint_type(out);
}

fn savepoint_type(out: &mut Vec<u8>) {
    put_class(SAVEPOINT, SAVEPOINT_VERSION, 3, out);
    put_field("formatType", "Lorg/apache/flink/core/execution/SavepointFormatType;", out);
    put_field("name", "Ljava/lang/String;", out);
    let action = "Lorg/apache/flink/runtime/checkpoint/SavepointType$PostCheckpointAction;";
    put_field("postCheckpointAction", action, out);
    out.extend_from_slice(NO_SUPER);
    out.extend_from_slice(b"~r");
    put_text("org.apache.flink.core.execution.SavepointFormatType", out);
    put_enum_class(out);
}

fn savepoint_back(format: &str, out: &mut Vec<u8>) {
    out.push(b't');
    put_text(format, out);
    out.push(b't');
    put_text("Savepoint", out);
    out.extend_from_slice(b"~r");
    put_text("org.apache.flink.runtime.checkpoint.SavepointType$PostCheckpointAction", out);
    out.extend_from_slice(ENUM);
    // `java.lang.Enum`, which is there already: the tenth thing that can be referred to.
    out.extend_from_slice(b"q\0\x7e\0\x09");
    out.push(b't');
    put_text("NONE", out);
}

fn checkpoint_front(out: &mut Vec<u8>) {
    put_class(CHECKPOINT, CHECKPOINT_VERSION, 2, out);
    put_field("name", "Ljava/lang/String;", out);
    let strategy = "Lorg/apache/flink/runtime/checkpoint/SnapshotType$SharingFilesStrategy;";
    put_field("sharingFilesStrategy", strategy, out);
    out.extend_from_slice(NO_SUPER);
}

/// A new object of a new class: its name, version and number of fields.
fn put_class(name: &str, version: i64, fields: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(b"sr");
    put_text(name, out);
    out.put_i64(version);
    out.push(2);
    out.put_u16(fields);
}

/// A field that is an object.
fn put_field(name: &str, class: &str, out: &mut Vec<u8>) {
    out.push(b'L');
    put_text(name, out);
    out.push(b't');
    put_text(class, out);
}

/// The rest of an enum's class, the first one in its stream.
fn put_enum_class(out: &mut Vec<u8>) {
    out.extend_from_slice(ENUM);
    out.push(b'r');
    put_text("java.lang.Enum", out);
    out.extend_from_slice(ENUM);
    out.push(b'p');
}

/// ASCII of this module alone, none of it long.
fn put_text(text: &str, out: &mut Vec<u8>) {
    out.put_u16(text.len() as u16);
    out.extend_from_slice(text.as_bytes());
}
