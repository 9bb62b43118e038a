//! What a traced type asks for, and what it is given.

use super::trace_de::*;

