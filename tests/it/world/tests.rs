//! The job without any crash.

use super::{Models, Writer, restore};
use crate::backends::{Tested, of_each_backend};
use esker::block_on;
use esker::checkpoint::Job as Owner;
use esker::snapshot::ManifestReferences;
use esker_conformance::store::new_store;
use std::sync::Arc;

fn nothing_happens(factory: &impl Tested) {
    let store = new_store();
    let mut models = Models::new(7);
    let owner = block_on(Owner::claim(store.clone(), Arc::new(ManifestReferences))).unwrap();
    let mut restored = block_on(restore(factory, &store, None, 2, 7)).unwrap();
    let mut writer = Writer::new(owner, &restored.rows, restored.lineages, None).unwrap();
    for _ in 0..40 {
        (0..300).try_for_each(|_| restored.rows.advance()).unwrap();
        let open = writer.begin(restored.rows.capture().unwrap()).unwrap();
        let written = block_on(writer.write(open)).unwrap();
        block_on(writer.publish(&written)).unwrap();
        block_on(writer.retain()).unwrap();
        models.check(factory, &store, &[2, 3]);
    }
}

macro_rules! tests {
    ($factory:ty) => {
        #[test]
        fn checkpoints_of_a_job_that_nothing_happens_to_are_right() {
            super::nothing_happens(&<$factory as $crate::backends::Tested>::new());
        }
    };
}
of_each_backend!(tests);
