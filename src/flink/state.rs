//! States as a file has them: name, kind and serializers.

use crate::format::manifest::StateKind;
use esker_flink::{FormatError, Input, Serializer, Value};
use std::sync::Arc;

/// A state of an operator, as one of its files has it: other files may have other serializers.
#[derive(Debug, Clone)]
pub struct FlinkState {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: StateKind,
    /// What wrote keys; none of operator state.
    pub key: Option<Arc<Serializer>>,
    /// What wrote namespaces; none of operator state.
    pub namespace: Option<Arc<Serializer>>,
    /// What wrote the keys of a map, or of broadcast state.
    pub user_key: Option<Arc<Serializer>>,
    /// What wrote values: of a list its elements, of a map its values, of TTL state what is behind the time. None of timers.
    pub value: Option<Arc<Serializer>>,
    /// Whether a time stands before each value.
    pub has_ttl: bool,
    /// Whether lengths of key and namespace stand behind both in composite keys.
    is_ambiguous: bool,
    /// The class of what makes keys or namespaces unreadable.
    opaque_place: Option<String>,
    /// The same of user keys.
    opaque_user_key: Option<String>,
    /// The same of values.
    opaque_value: Option<String>,
    /// What its lines begin with: `{"operator":…,"state":…,"kind":…`.
    head: String,
}

/// How the longest length of a key or namespace stands behind it.
const LEN_BYTES_MAX: u32 = 8;

impl FlinkState {
    /// Keyed state, with the serializer that its file names for values, which says whether there are lists, maps and TTL.
    pub(super) fn keyed(
        name: String,
        kind: StateKind,
        key: Arc<Serializer>,
        namespace: Option<Arc<Serializer>>,
        (user_key, value): (Option<&Serializer>, Option<&Serializer>),
    ) -> Self {
        let own = |serializer: &Serializer| Arc::new(serializer.clone());
        let (mut user_key, mut value) = (user_key.map(own), value.map(own));
        match kind {
            StateKind::List => {
                value = value.map(|list| list.element().map_or_else(|| list.clone(), own));
            }
            StateKind::Map if user_key.is_none() => {
                if let Some((of_key, of_value)) = value.as_deref().and_then(Serializer::entry) {
                    (user_key, value) = (Some(own(of_key)), Some(own(of_value)));
                }
            }
            StateKind::TimerEvent | StateKind::TimerProcessing => value = None,
            _ => {}
        }
        let inner = value.as_deref().and_then(Serializer::without_ttl).map(own);
        let has_ttl = inner.is_some();
        Self {
            has_ttl,
            value: inner.or(value),
            ..Self::new(name, kind, Some(key), namespace, user_key)
        }
        .judged()
    }

    /// Operator state.
    pub(super) fn operator(
        name: String,
        kind: StateKind,
        user_key: Option<Arc<Serializer>>,
        value: Arc<Serializer>,
    ) -> Self {
        Self { value: Some(value), ..Self::new(name, kind, None, None, user_key) }.judged()
    }

    fn new(
        name: String,
        kind: StateKind,
        key: Option<Arc<Serializer>>,
        namespace: Option<Arc<Serializer>>,
        user_key: Option<Arc<Serializer>>,
    ) -> Self {
        Self {
            name,
            kind,
            key,
            namespace,
            user_key,
            value: None,
            has_ttl: false,
            is_ambiguous: false,
            opaque_place: None,
            opaque_user_key: None,
            opaque_value: None,
            head: String::new(),
        }
    }

    /// The same, of the operator that is called so.
    pub(super) fn of_operator(mut self, operator: &str) -> Self {
        let text = |text: &str| Value::String(text.to_owned()).to_json();
        let (operator, name, kind) = (text(operator), text(&self.name), self.kind);
        self.head = format!(r#"{{"operator":{operator},"state":{name},"kind":"{kind}""#);
        self
    }

    /// What its lines begin with: `{"operator":…,"state":…,"kind":…`.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    fn judged(mut self) -> Self {
        let class = |serializer: &Option<Arc<Serializer>>| {
            serializer.as_deref().and_then(Serializer::opaque).map(str::to_owned)
        };
        let varies = |serializer: &Option<Arc<Serializer>>| {
            serializer.as_deref().is_some_and(|serializer| serializer.length().is_none())
        };
        self.is_ambiguous = varies(&self.key) && varies(&self.namespace) && !self.is_timer();
        self.opaque_place = class(&self.key).or_else(|| class(&self.namespace));
        self.opaque_user_key = class(&self.user_key);
        self.opaque_value = class(&self.value);
        self
    }

    /// Whether it is timers.
    pub fn is_timer(&self) -> bool {
        matches!(self.kind, StateKind::TimerEvent | StateKind::TimerProcessing)
    }

    /// The classes of the serializers that make keys, user keys or values of it unreadable, each once.
    pub fn opaque_classes(&self) -> Vec<&str> {
        let mut classes: Vec<&str> = Vec::new();
        for class in [&self.opaque_place, &self.opaque_user_key, &self.opaque_value] {
            if let Some(class) = class.as_deref().filter(|class| !classes.contains(class)) {
                classes.push(class);
            }
        }
        classes
    }

    /// Whether nothing tells where a key or namespace ends but what cannot be read.
    pub(super) fn has_opaque_place(&self) -> bool {
        self.opaque_place.is_some()
    }

    /// The class that makes keys unreadable.
    pub(super) fn opaque_place(&self) -> Option<&str> {
        self.opaque_place.as_deref()
    }

    /// The class that makes user keys unreadable.
    pub(super) fn opaque_user_key(&self) -> Option<&str> {
        self.opaque_user_key.as_deref()
    }

    /// The class that makes values unreadable.
    pub(super) fn opaque_value(&self) -> Option<&str> {
        self.opaque_value.as_deref()
    }

    /// Reads past the length of a key or namespace of `len` bytes, where there is one.
    ///
    /// # Errors
    /// `Corrupt` if it is another.
    pub(super) fn skip_len(
        &self,
        len: usize,
        input: &mut Input<'_>,
    ) -> std::result::Result<(), FormatError> {
        if !self.is_ambiguous {
            return Ok(());
        }
        let at = input.clone();
        // Little-endian, in as many bytes as it takes, at least one.
        let mut left = len as u64;
        for _ in 0..LEN_BYTES_MAX {
            if input.u8()? != (left & 0xff) as u8 {
                return Err(at.corrupt(format!("another length than {len} stands behind it")));
            }
            left >>= 8;
            if left == 0 {
                return Ok(());
            }
        }
        Err(at.corrupt("a length takes more than 8 bytes"))
    }
}
