//! What the system says of its memory and of this process's.

use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// The memory that is free for programs, in bytes, or what a container leaves of it; none where the system does not tell.
pub(crate) fn available_memory() -> Option<u64> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory);
    // What a container's files take in the cache is given back when it is needed, so only what is resident counts.
    let left = system.cgroup_limits().map_or(u64::MAX, |group| group.total_memory.saturating_sub(group.rss));
    Some(system.available_memory()).filter(|&free| free > 0).map(|free| free.min(left))
}

/// The memory that this process holds now, in bytes; none where the system does not tell.
pub(super) fn resident_memory() -> Option<u64> {
    let (id, mut system) = (sysinfo::get_current_pid().ok()?, System::new());
    let memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[id]), false, memory);
    system.process(id).map(|process| process.memory())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_a_part_of_all() {
        let mut system = System::new();
        system.refresh_memory();
        let free = available_memory().expect("told on the systems that tests run on");
        assert!((1 << 20..=system.total_memory()).contains(&free), "{free} of {}", system.total_memory());
    }

    #[test]
    fn what_is_written_to_is_resident() {
        const HELD: u64 = 256 << 20; // more than other tests let go of meanwhile
        let before = resident_memory().expect("told on the systems that tests run on");
        let held = std::hint::black_box(vec![1u8; HELD as usize]);
        let after = resident_memory().unwrap();
        assert!(after >= before + HELD / 2 && after < before + 16 * HELD, "{before} to {after} by {}", held.len());
    }
}
