//! Seeded mutations: flipped bits, other bytes, cuts, splices, repeats; or bytes out of nothing.

use fastrand::Rng;

/// Numbers that sit at an edge of something.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0x80, 0xff, 1 << 28, u32::MAX as u64, u64::MAX];
const RANDOM_LEN_MAX: usize = 512;

/// An input made of one or two of `seeds`.
pub fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    if seeds.is_empty() || rng.u8(..) == 0 {
        return (0..rng.usize(..RANDOM_LEN_MAX)).map(|_| rng.u8(..)).collect();
    }
    let mut bytes = one_of(seeds, rng).clone();
    for _ in 0..=rng.usize(..4) {
        step(&mut bytes, seeds, rng);
    }
    bytes
}

fn one_of<'a>(seeds: &'a [Vec<u8>], rng: &mut Rng) -> &'a Vec<u8> {
    &seeds[rng.usize(..seeds.len())]
}

fn step(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(..=bytes.len());
    match rng.u8(..8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(..at)),
        2 => {
            let other = one_of(seeds, rng);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[rng.usize(..=other.len())..]);
        }
        3 => {
            let end = rng.usize(at..=bytes.len());
            let copy = bytes[at..end].to_vec();
            let to = rng.usize(..=bytes.len());
            bytes.splice(to..to, copy);
        }
        4 => {
            let edge = EDGES[rng.usize(..EDGES.len())].to_le_bytes();
            let edge = &edge[..1 << rng.usize(..4)];
            let end = (at + edge.len()).min(bytes.len());
            bytes.splice(at..end, edge.iter().copied());
        }
        5 if at < bytes.len() => bytes[at] = rng.u8(..),
        6 => bytes.insert(at, rng.u8(..)),
        _ if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
        _ => {}
    }
}
