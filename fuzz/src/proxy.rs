//! The whole proxy in a simulated world, of which the input is the program: what there is too little of, who the
//! clients are and what they do, how links and servers behave, what happens when. `levee_proxy::simulation` says what
//! must hold between any two steps, and at the end.

/// Bytes that are worth reading: a world chooses no oftener.
const LONGEST: usize = 4096;

/// Lives through the world of `input`.
pub fn run(input: &[u8]) {
    levee_proxy::simulation::run_program(&input[..input.len().min(LONGEST)]);
}
