//! `esker demo`: a job on real input that is killed again and again, and loses nothing.

mod event;
mod flights;
mod plan;
mod recount;
