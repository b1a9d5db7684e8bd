//! How the C library hands out memory.

/// Lets all threads share two pools of memory. glibc gives each thread one of its own, and keeps in all of them
/// what was freed once: a recorder with a dozen threads then holds tens of megabytes that nobody uses. Nothing on
/// the packet path allocates, so nobody waits for another.
#[cfg(target_env = "gnu")]
pub fn share() {
    const POOLS: libc::c_int = 2;
    // SAFETY: mallopt(3) changes how later requests are served, and nothing that was handed out. It returns
    // zero where it does not know the parameter: then all stays as it was.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, POOLS) };
}

/// Other libraries have one pool for all.
#[cfg(not(target_env = "gnu"))]
pub fn share() {}
