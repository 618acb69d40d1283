//! Makes modules of any size: many small functions with loops, loads and stores, each calling the next.

/// A module of about `size` bytes whose exported function `f` has a filter's type.
pub(super) fn module(size: usize) -> Vec<u8> {
    let body = function_body(1).len();
    let functions = (size / (body + 2)).max(1);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let filter = [&[0x60, 6][..], &[I32; 6], &[1, I32]].concat();
    let helper = vec![0x60, 1, I32, 1, I32];
    section(&mut module, 1, &vector(&[filter, helper]));
    let types: Vec<Vec<u8>> = (0..=functions).map(|index| vec![u8::from(index > 0)]).collect();
    section(&mut module, 3, &vector(&types));
    section(&mut module, 5, &vector(&[vec![0, 1]]));
    section(&mut module, 7, &vector(&[vec![1, b'f', 0, 0]]));
    let first = [&[0][..], &[0x20, 5, 0x10], &leb(1), &[0x0b]].concat();
    let rest = (1..=functions).map(|index| function_body(index.min(functions - 1)));
    let bodies: Vec<Vec<u8>> =
        std::iter::once(first).chain(rest).map(|body| sized(&body)).collect();
    section(&mut module, 10, &vector(&bodies));
    module
}

const I32: u8 = 0x7f;

/// Counts its parameter down in a loop, changing a word of memory each time, then calls the next function.
fn function_body(index: usize) -> Vec<u8> {
    let address = leb(index * 4 % 60_000);
    let next = leb(index + 1);
    let mut body = vec![1, 1, I32]; // one local
    body.extend([0x03, 0x40]); // loop
    body.extend([0x20, 0, 0x28, 2]); // local.get 0, i32.load
    body.extend(&address);
    body.extend([0x20, 1, 0x6a, 0x21, 1]); // + local 1 -> local 1
    body.extend([0x20, 0, 0x20, 1, 0x36, 2]); // i32.store at local 0
    body.extend(&address);
    body.extend([0x20, 0, 0x41, 4, 0x6b, 0x22, 0]); // local 0 -= 4
    body.extend([0x41, 0, 0x4a, 0x0d, 0, 0x0b]); // while it is over 0
    body.extend([0x20, 1, 0x41, 1, 0x71, 0x04, I32]); // if odd
    body.extend([0x20, 1, 0x10]); // the next function's answer
    body.extend(next);
    body.extend([0x05, 0x20, 1, 0x0b, 0x0b]); // else the sum
    body
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [leb(bytes.len()), bytes.to_vec()].concat()
}

fn vector(items: &[Vec<u8>]) -> Vec<u8> {
    [leb(items.len()), items.concat()].concat()
}

fn section(module: &mut Vec<u8>, id: u8, content: &[u8]) {
    module.push(id);
    module.extend(sized(content));
}

/// Unsigned LEB128.
fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_about_the_size_that_was_asked_for() {
        for size in [1_000, 500_000, 5_000_000] {
            let made = module(size).len();
            assert!(made.abs_diff(size) < size / 10, "{made} for {size}");
        }
    }

    #[test]
    fn numbers_are_leb128() {
        assert_eq!(leb(0), [0]);
        assert_eq!(leb(127), [127]);
        assert_eq!(leb(624_485), [0xe5, 0x8e, 0x26]);
    }
}
