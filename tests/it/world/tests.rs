//! The job without any crash.

use super::{Models, Writer, restore};
use esker::checkpoint::Job as Owner;
use esker::snapshot::ManifestReferences;
use esker::{Store, block_on};
use std::sync::Arc;

#[test]
fn checkpoints_of_a_job_that_nothing_happens_to_are_right() {
    let store = Store::open("memory://").unwrap();
    let mut models = Models::new(7);
    let owner = block_on(Owner::claim(store.clone(), Arc::new(ManifestReferences))).unwrap();
    let mut restored = block_on(restore(&store, None, 2, 7)).unwrap();
    let mut writer = Writer::new(owner, &restored.rows, restored.lineages, None).unwrap();
    for _ in 0..40 {
        (0..300).try_for_each(|_| restored.rows.advance()).unwrap();
        let open = writer.begin(restored.rows.capture().unwrap()).unwrap();
        let written = block_on(writer.write(open)).unwrap();
        block_on(writer.publish(&written)).unwrap();
        block_on(writer.retain()).unwrap();
        models.check(&store, &[2, 3]);
    }
}
