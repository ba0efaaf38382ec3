//! Memory of this process and of the machine, from `/proc`.

/// Resident memory now, bytes; 0 where the system does not say.
pub fn resident() -> u64 {
    field("VmRSS:")
}

/// Highest resident memory so far, bytes; 0 where the system does not say.
pub fn peak() -> u64 {
    field("VmHWM:")
}

/// Memory of the machine, bytes; 0 where the system does not say.
pub fn of_machine() -> u64 {
    read("/proc/meminfo", "MemTotal:")
}

fn field(name: &str) -> u64 {
    read("/proc/self/status", name)
}

fn read(file: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(file).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_running_process_has_memory_and_its_peak_is_no_less() {
        let now = super::resident();
        assert!(now > 100_000, "{now}");
        assert!(super::peak() >= now);
    }
}
