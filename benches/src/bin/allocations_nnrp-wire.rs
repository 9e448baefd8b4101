//! Allocations per packet; `bench_nnrp-wire` runs it, since an allocator that counts is slower than the default one.

#![expect(clippy::print_stdout, reason = "a program's output")]

use nodewire_bench::nnrp_wire::inputs::Content;
use nodewire_bench::nnrp_wire::ours::Ours;
use nodewire_bench::nnrp_wire::{MEMCPY, rust_peer};

const PACKETS: u64 = 64;

/// Prints subject, case and allocations per packet, separated by tabs.
fn main() -> anyhow::Result<()> {
    let contents = Content::all();
    let mut operations = Ours::new(&contents)?.operations;
    operations.extend(rust_peer::operations(&contents)?);
    for mut operation in operations {
        if operation.subject == MEMCPY {
            continue;
        }
        // Reused buffers have grown by then.
        operation.repeat(2);
        let counted = allocation_counter::measure(|| operation.repeat(PACKETS));
        let per_packet = counted.count_total as f64 / PACKETS as f64;
        println!("{}\t{}\t{per_packet}", operation.subject, operation.case);
    }
    Ok(())
}
