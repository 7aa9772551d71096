//! Falsifies messages in their own form: fields are changed, doubled, dropped, swapped and taken from elsewhere, at any depth, so
//! that what comes is nearly always read and nearly never right. Knows the encoding (protocol buffers) and nothing of what
//! it means.

use bytes::Bytes;

use super::{MESSAGE_LIMIT_BYTES, dice::Dice};

/// Messages within messages that are looked into.
const DEEPEST: usize = 6;

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
    Eight([u8; 8]),
    Four([u8; 4]),
}

type Field = (u64, Value);

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes)?;
        if tag >> 3 == 0 {
            return None;
        }
        let value = match tag & 7 {
            0 => Value::Number(number(&mut bytes)?),
            1 => {
                let (eight, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Value::Eight(*eight)
            }
            2 => {
                let length = usize::try_from(number(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(inner.to_vec())
            }
            5 => {
                let (four, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Value::Four(*four)
            }
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

fn put(number: u64, out: &mut Vec<u8>) {
    let mut left = number;
    while left >= 0x80 {
        out.push((left.to_le_bytes()[0] & 0x7f) | 0x80);
        left >>= 7;
    }
    out.push(left.to_le_bytes()[0]);
}

fn encode(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, value) in fields {
        let kind = match value {
            Value::Number(_) => 0,
            Value::Eight(_) => 1,
            Value::Bytes(_) => 2,
            Value::Four(_) => 5,
        };
        put(tag << 3 | kind, &mut out);
        match value {
            Value::Number(number) => put(*number, &mut out),
            Value::Eight(eight) => out.extend(eight),
            Value::Four(four) => out.extend(four),
            Value::Bytes(bytes) => {
                put(bytes.len() as u64, &mut out);
                out.extend(bytes);
            }
        }
    }
    out
}

/// A message as a liar sends it.
pub(crate) fn falsify(message: &[u8], dice: &mut Dice) -> Bytes {
    if dice.once_in(12) {
        return scramble(message, dice).into();
    }
    let plain = unpack(message).unwrap_or_else(|| message.to_vec());
    let mut bytes = plain;
    for _ in 0..=dice.below(3) {
        bytes = change(&bytes, dice, 0);
    }
    // A liar keeps to what the link allows.
    bytes.truncate(MESSAGE_LIMIT_BYTES);
    bytes.into()
}

/// Where the whole is one compressed field, what is in it.
fn unpack(message: &[u8]) -> Option<Vec<u8>> {
    match parse(message)?.as_slice() {
        [(_, Value::Bytes(inner))] => zstd::bulk::decompress(inner, MESSAGE_LIMIT_BYTES).ok(),
        _ => None,
    }
}

fn change(bytes: &[u8], dice: &mut Dice, depth: usize) -> Vec<u8> {
    let Some(mut fields) = parse(bytes).filter(|fields| !fields.is_empty()) else {
        return text(bytes, dice);
    };
    let at = dice.below(fields.len());
    match dice.below(12) {
        0 => {
            fields.remove(at);
        }
        1 => fields.insert(at, fields[at].clone()),
        2 => {
            let other = dice.below(fields.len());
            fields.swap(at, other);
        }
        3 => {
            let other = dice.below(fields.len());
            fields[at].1 = fields[other].1.clone();
        }
        4 => fields[at].0 = 1 + dice.below(14) as u64,
        _ => {
            let value = match &fields[at].1 {
                Value::Number(number) => Value::Number(other_number(*number, dice)),
                Value::Bytes(inner) => {
                    let has_fields = parse(inner).is_some_and(|fields| !fields.is_empty());
                    if has_fields && depth < DEEPEST && !dice.once_in(10) {
                        Value::Bytes(change(inner, dice, depth + 1))
                    } else {
                        Value::Bytes(text(inner, dice))
                    }
                }
                Value::Eight(_) => Value::Eight(dice.any().to_le_bytes()),
                Value::Four(four) => Value::Four(four.map(|byte| !byte)),
            };
            fields[at].1 = value;
        }
    }
    encode(&fields)
}

fn other_number(number: u64, dice: &mut Dice) -> u64 {
    match dice.below(6) {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => dice.any() >> dice.below(64),
        3 => number.wrapping_mul(2),
        _ => *dice.one_of(&[
            0,
            1,
            2,
            3,
            127,
            1 << 20,
            1 << 31,
            1 << 40,
            i64::MAX as u64,
            1 << 63,
            u64::MAX,
        ]),
    }
}

/// Another text, name, digest or content.
fn text(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    const OTHER: [&[u8]; 22] = [
        b"",
        b".",
        b"..",
        b"../outside",
        b"/etc/passwd",
        b"a",
        b"a/x",
        b"way",
        b"way/f",
        b"d",
        b"d/large",
        b"d/",
        b"d//a",
        b"a\0b",
        b"\xff\xfe",
        b".atelier-sync",
        b".atelier-sync/stage/x",
        b".atelier-sync/trash/1-x/thing",
        b".git/config",
        b"/",
        b"~",
        b"d/../../outside/f",
    ];
    match dice.below(6) {
        0 => dice.one_of(&OTHER).to_vec(),
        1 => vec![b'n'; *dice.one_of(&[255, 256, 4_095, 4_096])],
        2 => b"e/".repeat(*dice.one_of(&[10, 300, 2_047])),
        3 => dice.bytes(40),
        4 => bytes.get(..dice.below(bytes.len())).unwrap_or_default().to_vec(),
        _ => scramble(bytes, dice),
    }
}

/// Some bytes are others.
fn scramble(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        bytes[at] ^= 1 << dice.below(8);
    }
    bytes
}

#[test]
fn what_is_parsed_is_encoded_again() {
    let message = [8, 150, 1, 18, 3, b'a', b'b', b'c', 29, 1, 2, 3, 4, 33, 1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(encode(&parse(&message).unwrap()), message);
    assert_eq!(parse(&[8]), None);
}
