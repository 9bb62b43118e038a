//! Values of each kind.
