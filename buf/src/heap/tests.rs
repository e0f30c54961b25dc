use super::*;

const TEXT: &[u8] = b"the quick brown fox";

fn pieces(heap: &Heap, cuts: &[usize]) -> HeapChain {
    let mut chain = HeapChain::default();
    let mut start = 0;
    for &end in cuts.iter().chain([&TEXT.len()]) {
        chain.append(heap.chain(&TEXT[start..end]));
        start = end;
    }
    chain
}

#[test]
fn split_and_append_are_inverse_at_every_byte() {
    let heap = Heap::new(64);
    for at in 0..=TEXT.len() {
        let mut rest = pieces(&heap, &[3, 4, 11]);
        let mut front = heap.split_to(&mut rest, at).unwrap();
        assert_eq!(front.to_vec(), &TEXT[..at]);
        assert_eq!(rest.to_vec(), &TEXT[at..]);
        assert!(front.is_exclusive(0..at) && rest.is_exclusive(0..TEXT.len() - at));
        front.append(rest);
        assert_eq!(front.to_vec(), TEXT);
        assert_eq!(front.len(), TEXT.len());
    }
    assert_eq!(heap.in_use(), 0);
}

#[test]
fn a_reference_shares_and_is_never_written() {
    let heap = Heap::new(64);
    let mut chain = pieces(&heap, &[5, 9]);
    let second = heap.reference(&mut chain, 2..7).unwrap();
    assert_eq!(second.to_vec(), &TEXT[2..7]);
    assert!(!chain.is_exclusive(0..5));
    assert!(!second.is_exclusive(0..1));
    assert!(chain.is_exclusive(9..TEXT.len()));
    assert!(chain.chunk_mut(0).is_none());
    assert!(chain.chunk_mut(9).is_some());
    assert_eq!(chain.headroom(), 0);
    drop(chain);
    assert_eq!(second.to_vec(), &TEXT[2..7]);
    drop(second);
    assert_eq!(heap.in_use(), 0);
}

#[test]
fn trimming_frees_segments() {
    let heap = Heap::new(8);
    let mut chain = pieces(&heap, &[5, 9]);
    chain.trim_front(6);
    assert_eq!((chain.to_vec().as_slice(), heap.in_use()), (&TEXT[6..], 2));
    chain.truncate(3);
    assert_eq!((chain.to_vec().as_slice(), heap.in_use()), (&TEXT[6..9], 1));
    chain.trim_front(100);
    assert_eq!((chain.len(), heap.in_use()), (0, 0));
}

#[test]
fn headers_and_trailers_grow_in_place() {
    let heap = Heap::new(8);
    let mut chain = heap.alloc(100).unwrap();
    assert_eq!(chain.headroom(), HEADROOM);
    chain.extend(3).unwrap().copy_from_slice(b"abc");
    chain.prepend(2).unwrap().copy_from_slice(b"xy");
    assert_eq!(chain.to_vec(), b"xyabc");
    assert!(chain.prepend(HEADROOM).is_none());
    assert!(heap.alloc(MAX_ROOM + 1).is_none());
}

#[test]
fn pushes_over_segments_and_says_when_memory_is_exhausted() {
    let heap = Heap::new(2);
    let mut chain = HeapChain::default();
    let long = vec![7; 3000];
    heap.push(&mut chain, &long).unwrap();
    assert_eq!((chain.to_vec(), chain.segments()), (long, 2));
    assert!(heap.alloc(1).is_none());
    assert!(heap.reference(&mut chain, 0..1).is_none());
    assert_eq!(heap.push(&mut chain, &[0; 3000]), Err(crate::Exhausted));
}

#[test]
fn chunks_cover_a_range_once() {
    let heap = Heap::new(8);
    let mut chain = pieces(&heap, &[1, 2, 10]);
    let mut seen = Vec::new();
    chain.for_each(1..12, &mut |chunk| seen.extend_from_slice(chunk));
    assert_eq!(seen, &TEXT[1..12]);
    assert!(chain.for_each_mut(0..TEXT.len(), &mut |chunk| chunk.make_ascii_uppercase()));
    assert_eq!(chain.to_vec(), TEXT.to_ascii_uppercase());
    assert_eq!(chain.copy_to(15, &mut [0; 10]), 4);
    for (start, end) in (0..=TEXT.len()).flat_map(|start| (start..=TEXT.len()).map(move |end| (start, end))) {
        let mut seen = Vec::new();
        chain.for_each(start..end, &mut |chunk| seen.extend_from_slice(chunk));
        assert_eq!(seen, TEXT[start..end].to_ascii_uppercase());
        assert!(chain.for_each_mut(start..end, &mut |chunk| chunk.make_ascii_lowercase()));
        let mut mixed = TEXT.to_ascii_uppercase();
        mixed[start..end].make_ascii_lowercase();
        assert_eq!(chain.to_vec(), mixed);
        assert!(chain.for_each_mut(0..TEXT.len(), &mut |chunk| chunk.make_ascii_uppercase()));
    }
}
