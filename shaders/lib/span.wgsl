// Pieces: a tensor that is larger than a binding is seen through a window of it, a span of its elements. The binding
// begins at the span's first element, so element i lies at i - span.start there.
//
// A kernel makes the outputs of one span and reads through others. In pieces, it is run for each pair (or triple) of spans
// that may have to do with one another: an element outside a span is left to the call that has it bound. Otherwise each
// span is a whole tensor, and the compiler drops the question.

override in_pieces: bool = false;

struct Span {
    start: u32,
    len: u32,
}

// Whether element i is in this span.
fn is_bound(i: u32, span: Span) -> bool {
    return !in_pieces || i - span.start < span.len;
}
