//! Where programs that are linked with musl get memory from: musl's own allocator has one lock for all threads and takes five times as
//! long for what a pipeline does.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
