//! Whether the kernel can confine a process's files: landlock_create_ruleset(2), only asked.

use std::io;

/// `LANDLOCK_CREATE_RULESET_VERSION` (linux/landlock.h): nothing is made, the version is told.
const VERSION: libc::c_uint = 1;

/// The version of Landlock's interface, from 1 on.
///
/// # Errors
/// ENOSYS where the kernel was built without it, EOPNOTSUPP where it was booted without it.
pub fn version() -> io::Result<u32> {
    let (attributes, size) = (std::ptr::null::<u8>(), 0_usize);
    // SAFETY: with this flag the kernel wants no attributes, a null pointer and no size.
    let told =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attributes, size, VERSION) };
    if told < 0 { Err(io::Error::last_os_error()) } else { Ok(u32::try_from(told).unwrap_or(0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_its_version_or_that_it_has_none() {
        match version() {
            Ok(version) => assert!(version > 0),
            Err(error) => {
                let known = [Some(libc::ENOSYS), Some(libc::EOPNOTSUPP)];
                assert!(known.contains(&error.raw_os_error()), "{error}");
            }
        }
    }
}
