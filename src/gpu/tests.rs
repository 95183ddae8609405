//! Tests of this folder, on a software adapter.

use std::time::Instant;

use super::test_kernels::gpu;
use super::*;

const TRUSTED: GpuOptions = GpuOptions { checked: false, minimal: false, guarded: false };

fn words(values: &[u32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

fn read_words(gpu: &Gpu, buffer: &GpuBuffer, count: usize) -> Vec<u32> {
    bytemuck::pod_collect_to_vec(&gpu.read(buffer, count as u64 * 4).expect("read"))
}

/// y = x * SCALE + addend + EXTRA
fn add(gpu: &Gpu, kernel: &Kernel, x: &GpuBuffer, y: &GpuBuffer, len: u32, addend: u32) {
    let params = [len, addend];
    let call = KernelCall {
        kernel: kernel.clone(),
        reads: &[x],
        writes: &[y],
        params: words(&params),
        workgroups: grid(len.into(), 64),
        label: "test add",
    };
    gpu.run(&call).expect("add");
}

#[test]
fn grids_hold_all_invocations_and_waste_little() {
    assert_eq!(grid(0, 64), [0, 1, 1]);
    assert_eq!(grid(1, 64), [1, 1, 1]);
    assert_eq!(grid(65_535, 1), [65_535, 1, 1]);
    assert_eq!(grid(65_536, 1), [32_768, 2, 1]);
    for groups in [70_000u64, 100_003, 1 << 24, 65_535 * 65_535, 65_535 * 65_535 + 1] {
        let [x, y, z] = grid(groups, 1).map(u64::from);
        assert!(x <= 65_535 && y <= 65_535 && z <= 65_535);
        assert!(x * y * z >= groups && x * y * z < groups + 2 * 65_536 * z, "{groups}: {x} {y} {z}");
    }
}

#[test]
fn the_table_of_shaders_is_the_folder() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut listed: Vec<String> = Vec::new();
    for part in ["", "lib"] {
        for entry in std::fs::read_dir(folder.join(part)).expect("shaders folder") {
            let name = entry.expect("entry").file_name().into_string().expect("file name");
            if name.ends_with(".wgsl") {
                listed.push(if part.is_empty() { name } else { format!("{part}/{name}") });
            }
        }
    }
    let mut embedded = shader::paths();
    listed.sort();
    embedded.sort_unstable();
    assert_eq!(embedded, listed, "src/gpu/shader.rs has the list");
}

#[test]
fn an_upload_does_not_overtake_recorded_work() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let kernel = Kernel::new("test_add", "add");
    let out = gpu.alloc(400).unwrap();
    let x = gpu.upload(words(&[1; 100])).unwrap();
    add(&gpu, &kernel, &x, &out, 100, 5);
    // In place into memory that the recorded call reads, then through the pool, small and large.
    gpu.write(&x, words(&[50; 100])).unwrap();
    let second = gpu.alloc(400).unwrap();
    add(&gpu, &kernel, &x, &second, 100, 5);
    assert_eq!(read_words(&gpu, &out, 100), [6; 100]);
    assert_eq!(read_words(&gpu, &second, 100), [55; 100]);

    for len in [100u32, 100_000] {
        let out = gpu.alloc(u64::from(len) * 4).unwrap();
        let mut sum = vec![];
        for round in 0..20 {
            let x = gpu.upload(words(&vec![round; len as usize])).unwrap();
            let y = gpu.alloc(u64::from(len) * 4).unwrap();
            add(&gpu, &kernel, &x, &y, len, 1000);
            drop(x);
            if round == 7 {
                add(&gpu, &kernel, &y, &out, len, 0);
            }
            sum.push(y);
        }
        assert_eq!(read_words(&gpu, &out, len as usize), vec![1007; len as usize]);
        for (round, y) in (0..).zip(&sum) {
            assert_eq!(read_words(&gpu, y, 3), [1000 + round; 3]);
        }
    }
}

#[test]
fn uploads_of_any_length() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    for len in [0usize, 1, 3, 4, 5, 255, 256, 257, 1001] {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        let buffer = gpu.upload(&bytes).unwrap();
        assert_eq!(gpu.read(&buffer, len as u64).unwrap(), bytes);
    }
    let large = vec![0x5a; 40 << 20];
    let buffer = gpu.upload(&large).unwrap();
    assert!(gpu.read(&buffer, large.len() as u64).unwrap() == large);
}

#[test]
fn the_pool_gives_memory_again_and_bind_groups_repeat() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let kernel = Kernel::new("test_add", "add");
    let x = gpu.upload(words(&[3; 1000])).unwrap();
    let step = |n: u32| {
        let a = gpu.alloc(4000).unwrap();
        let b = gpu.alloc(4000).unwrap();
        add(&gpu, &kernel, &x, &a, 1000, n);
        add(&gpu, &kernel, &a, &b, 1000, 1);
        let c = gpu.alloc(4000).unwrap();
        add(&gpu, &kernel, &b, &c, 1000, 2);
        drop((a, b));
        c
    };
    for _ in 0..3 {
        drop(step(1));
    }
    let before = gpu.stats();
    for _ in 0..50 {
        drop(step(1));
    }
    let after = gpu.stats();
    assert_eq!(after.buffers_created, before.buffers_created, "memory is reused");
    assert_eq!(after.bind_groups_created, before.bind_groups_created, "bind groups repeat");
    assert_eq!(after.bind_groups_hit - before.bind_groups_hit, 150);
    assert_eq!(after.params_uploaded, before.params_uploaded, "equal parameters are uploaded once");
    assert_eq!(after.bytes_live, before.bytes_live);
    assert_eq!(read_words(&gpu, &step(4), 1000), [10; 1000]);

    // Freed memory is not kept by bind groups, and the device works on.
    gpu.trim();
    assert_eq!(gpu.stats().bytes_pooled, 0);
    assert_eq!(read_words(&gpu, &step(5), 1000), [11; 1000]);
}

#[test]
fn the_pool_does_not_hoard() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    for shift in 0..40u64 {
        drop(gpu.alloc((1 << 20) + (shift << 19)).unwrap()); // sizes that never come again
        let stats = gpu.stats();
        assert!(stats.bytes_pooled <= 2 * stats.bytes_peak + (64 << 20), "{stats:?}");
    }
    let kernel = Kernel::new("test_add", "add");
    let (x, y) = (gpu.upload(words(&[1; 64])).unwrap(), gpu.alloc(256).unwrap());
    for n in 0..10_000 {
        add(&gpu, &kernel, &x, &y, 64, n);
    }
    let stats = gpu.stats();
    assert!(stats.params_kept <= 4096 && stats.bind_groups_kept <= 8192, "{stats:?}");
    assert_eq!(read_words(&gpu, &y, 64), [10_000; 64]);
}

#[test]
fn folded_grids_reach_every_workgroup() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let y = gpu.alloc(100_003 * 4).unwrap();
    let call = KernelCall {
        kernel: Kernel::new("test_iota", "iota"),
        reads: &[],
        writes: &[&y],
        params: &[],
        workgroups: grid(100_003, 1),
        label: "iota",
    };
    assert!(call.workgroups[1] > 1);
    gpu.run(&call).unwrap();
    assert!(read_words(&gpu, &y, 100_003).iter().zip(0u32..).all(|(y, i)| *y == i * 3 + 1));
    gpu.run(&KernelCall { workgroups: [0, 1, 1], ..call }).unwrap();
    let x = gpu.upload(words(&vec![4; 70_000])).unwrap();
    let call = KernelCall {
        kernel: Kernel::new("test_add", "first"),
        reads: &[&x],
        writes: &[&y],
        params: words(&[70_000, 9]),
        workgroups: grid(70_000, 1),
        label: "first",
    };
    gpu.run(&call).unwrap();
    let y = read_words(&gpu, &y, 100_003);
    assert!(y[..70_000].iter().all(|y| *y == 13) && y[70_000] == 210_001);
}

#[test]
fn a_chain_of_a_thousand_dispatches_is_exact() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let y = gpu.upload(words(&[1, 2, 3, 4].repeat(16))).unwrap();
    let call = KernelCall {
        kernel: Kernel::new("test_iota", "in_place"),
        reads: &[],
        writes: &[&y],
        params: &[],
        workgroups: [1, 1, 1],
        label: "in place",
    };
    gpu.run(&call).unwrap();
    gpu.wait().unwrap();
    let start = Instant::now();
    for _ in 1..1000 {
        gpu.run(&call).unwrap();
    }
    let recorded = start.elapsed();
    gpu.wait().unwrap();
    println!(
        "per dispatch: {:.1} µs until submitted, {:.1} µs in all",
        recorded.as_secs_f64() * 1e3,
        start.elapsed().as_secs_f64() * 1e3
    );
    let mut expected = [1u32, 2, 3, 4];
    for _ in 0..1000 {
        expected = expected.map(|v| v.wrapping_mul(3).wrapping_add(1));
    }
    assert_eq!(read_words(&gpu, &y, 4), expected);
    assert!(gpu.stats().submits >= 1000 / 64);
}

#[test]
fn handles_views_and_copies() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let arena = gpu.upload(words(&(0..256).collect::<Vec<u32>>())).unwrap();
    assert!(arena.is_unique() && arena.bytes() == 1024);
    let second = arena.view(256, 256);
    assert!(!arena.is_unique() && !second.is_unique() && second.id() == arena.id());
    assert_eq!(read_words(&gpu, &second, 2), [64, 65]);
    let nested = second.view(0, 100);
    gpu.write(&nested, words(&[7, 8])).unwrap();
    assert_eq!(read_words(&gpu, &arena, 66)[63..], [63, 7, 8]);

    let out = gpu.alloc(256).unwrap();
    add(&gpu, &Kernel::new("test_add", "add"), &second, &out, 64, 1);
    add(&gpu, &Kernel::new("test_add", "add"), &out, &arena.view(512, 256), 64, 1);
    gpu.copy(&arena.view(512, 256), &out, 256).unwrap();
    assert_eq!(read_words(&gpu, &out, 3), [9, 10, 68]);
    assert_eq!(read_words(&gpu, &arena, 131)[127..], [127, 9, 10, 68]);

    drop((arena, nested));
    let clone = second.clone();
    assert!(!second.is_unique());
    drop(clone);
    assert!(second.is_unique());
}

#[test]
fn constants_are_overrides_or_consts() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let kernel = Kernel::new("test_add", "add").constant("SCALE", 3.0).constant("EXTRA", 100.0);
    gpu.prepare(&[kernel.clone(), Kernel::new("test_add", "first"), Kernel::new("test_iota", "iota")]).unwrap();
    assert_eq!(gpu.stats().pipelines, 3);
    let (x, y) = (gpu.upload(words(&[2; 64])).unwrap(), gpu.alloc(256).unwrap());
    add(&gpu, &kernel, &x, &y, 64, 1);
    assert_eq!(read_words(&gpu, &y, 64), [107; 64]);
    assert_eq!(gpu.stats().pipelines, 3, "a prepared kernel is not compiled again");
    let wrong = Kernel::new("test_add", "add").constant("NONE", 1.0);
    assert_eq!(
        gpu.prepare(&[wrong]).unwrap_err().to_string(),
        "shaders/test_add.wgsl declares no override and no const `NONE`"
    );
}

#[test]
fn strided_addresses_agree_with_plain_loops() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let cases: [([u32; 6], [i32; 6], u32); 5] = [
        ([1, 1, 1, 1, 1, 37], [0, 0, 0, 0, 0, 2], 1),
        ([1, 1, 1, 1, 5, 7], [0, 0, 0, 0, 1, 5], 2),
        ([1, 1, 3, 4, 5, 7], [0, 0, 140, 0, 7, 1], 4), // one axis broadcast
        ([1, 1, 3, 4, 5, 7], [0, 0, 140, 35, -7, 1], 4), // one axis backwards
        ([2, 3, 2, 3, 4, 5], [360, 1, 0, 20, 5, 3], 6),
    ];
    for (dims, strides, rank) in cases {
        let len: u32 = dims.iter().product();
        let params = [&dims[..], &strides.map(|s| s as u32)[..], &[rank, len]].concat();
        let y = gpu.alloc(u64::from(len) * 8).unwrap();
        let call = KernelCall {
            kernel: Kernel::new("test_strided", "strided"),
            reads: &[],
            writes: &[&y],
            params: words(&params),
            workgroups: grid(len.into(), 64),
            label: "strided",
        };
        gpu.run(&call).unwrap();
        let expected = (0..len).flat_map(|linear| {
            let (mut rest, mut at) = (linear, 0i32);
            for axis in (0..6).rev() {
                at += (rest % dims[axis]) as i32 * strides[axis];
                rest /= dims[axis];
            }
            [at as u32; 2]
        });
        assert_eq!(read_words(&gpu, &y, len as usize * 2), expected.collect::<Vec<_>>(), "{dims:?} {strides:?}");
    }
}

#[test]
fn checked_and_minimal_devices_compute_the_same() {
    for (checked, minimal) in [(true, false), (false, true), (true, true)] {
        let Some(gpu) = gpu(GpuOptions { checked, minimal, ..TRUSTED }) else { return };
        let x = gpu.upload(words(&[2; 100])).unwrap();
        let y = gpu.alloc(400).unwrap();
        add(&gpu, &Kernel::new("test_add", "add"), &x, &y, 100, 40);
        assert_eq!(read_words(&gpu, &y, 100), [42; 100]);
        if minimal {
            assert_eq!((gpu.max_binding_bytes(), gpu.max_buffer_bytes()), (128 << 20, 256 << 20));
            assert_eq!(gpu.report().limits.storage_buffers_per_stage, 8);
        }
    }
}

#[test]
fn reads_may_wait_for_later() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let y = gpu.upload(words(&[5; 64])).unwrap();
    let early = gpu.read_later(&y, 256).unwrap();
    let call = KernelCall {
        kernel: Kernel::new("test_iota", "in_place"),
        reads: &[],
        writes: &[&y],
        params: &[],
        workgroups: [1, 1, 1],
        label: "in place",
    };
    gpu.run(&call).unwrap();
    assert_eq!(read_words(&gpu, &y, 64), [16; 64]);
    assert!(early.is_ready());
    assert_eq!(early.wait().unwrap(), words(&[5; 64]));
}

#[test]
fn many_threads_may_use_one_device() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let gpu = &gpu;
            scope.spawn(move || {
                let kernel = Kernel::new("test_add", "add");
                for round in 0..40 {
                    let x = gpu.upload(words(&[thread; 64])).unwrap();
                    let y = gpu.alloc(256).unwrap();
                    add(gpu, &kernel, &x, &y, 64, round);
                    add(gpu, &kernel, &y, &x, 64, 1);
                    assert_eq!(read_words(gpu, &x, 64), [thread + round + 1; 64]);
                }
            });
        }
    });
}

#[test]
fn compile_errors_name_the_line_of_the_part() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let message = |kernel: Kernel| gpu.prepare(&[kernel]).unwrap_err().to_string();
    let wrong = message(Kernel::new("test_wrong", "wrong"));
    assert!(wrong.contains("shaders/test_wrong.wgsl:8:12") && wrong.contains("missing_name"), "{wrong}");
    let invalid = message(Kernel::new("test_invalid", "invalid"));
    assert!(invalid.contains("shaders/test_invalid.wgsl:5:5"), "{invalid}");
    println!("{wrong}\n\n{invalid}\n");
    assert_eq!(message(Kernel::new("nothing", "f")), "there is no shader shaders/nothing.wgsl in this program");
    assert_eq!(
        message(Kernel::new("test_add", "none")),
        "shaders/test_add.wgsl has no entry point `none`, only: add, first"
    );

    // Called with other buffers than it declares.
    let y = gpu.alloc(256).unwrap();
    let call = KernelCall {
        kernel: Kernel::new("test_add", "add"),
        reads: &[],
        writes: &[&y],
        params: &[],
        workgroups: [1, 1, 1],
        label: "wrong call",
    };
    let error = gpu.run(&call).unwrap_err().to_string();
    println!("{error}");
    assert!(
        error.starts_with("kernel test_add.add cannot be compiled for 0 inputs, 1 outputs and no params"),
        "{error}"
    );
    gpu.wait().unwrap();
}

#[test]
fn what_cannot_be_had_is_an_error_that_helps() {
    let Some(gpu) = gpu(TRUSTED) else { return };
    let most = gpu.max_buffer_bytes();
    let error = gpu.alloc(most + 1).unwrap_err().to_string();
    assert!(error.contains("too large") && error.contains("--device cpu"), "{error}");
    let error = Gpu::open(&AdapterChoice::Name("no such thing".into()), TRUSTED).expect_err("unknown").to_string();
    println!("{error}");
    assert!(error.contains("`no such thing`") && error.contains(&gpu.report().name), "{error}");
    assert!(error.contains("--device cpu") && error.contains("toile devices"), "{error}");
    assert!(Gpu::open(&AdapterChoice::Index(99), TRUSTED).is_err());
    for report in adapters() {
        println!("{report} {:?} {:?} {}-{}", report.limits, report.features, report.subgroup_min, report.subgroup_max);
    }
    let name = gpu.report().name.to_uppercase();
    let index = gpu.report().index;
    assert_eq!(Gpu::open(&AdapterChoice::Name(name), TRUSTED).unwrap().report().index, index);
    assert_eq!(Gpu::open(&AdapterChoice::Index(index), TRUSTED).unwrap().report().index, index);

    // Trouble outside of a call comes back from the next one, and from all after it: what it spoiled is not known.
    let y = gpu.alloc(256).unwrap();
    let small = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("small"),
        size: 4,
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue().write_buffer(&small, 8, &[0; 4]);
    let error = gpu.flush().unwrap_err().to_string();
    println!("{error}");
    assert_eq!(gpu.flush().unwrap_err().to_string(), error);
    // A lost device stays lost, and nothing panics.
    gpu.device().destroy();
    let _ = gpu.upload(&[0; 16]);
    let _ = gpu.read(&y, 16);
    assert!(gpu.read(&y, 16).is_err());
}

#[test]
#[should_panic(expected = "both ends: GpuBuffer")]
fn reading_and_writing_one_buffer_panics() {
    let Some(gpu) = gpu(TRUSTED) else { panic!("both ends: GpuBuffer (left out)") };
    let y = gpu.alloc(256).unwrap();
    let call = KernelCall {
        kernel: Kernel::new("test_add", "add"),
        reads: &[&y],
        writes: &[&y],
        params: &[0; 8],
        workgroups: [1, 1, 1],
        label: "both ends",
    };
    let _ = gpu.run(&call);
}

#[test]
fn repeats_nest_and_lines_are_mapped() {
    let assembled = assemble("test_repeat", &[]).unwrap();
    let lines: Vec<&str> = assembled.source.lines().map(str::trim).collect();
    assert_eq!(lines[4], "let a0_v = 0u * 10u;");
    assert_eq!(
        lines[5..8],
        ["y[0 * 3u + 0u] = a0_v + 0u; // 0", "y[0 * 3u + 1u] = a0_v + 1u; // 1", "y[0 * 3u + 2u] = a0_v + 2u; // 2"]
    );
    assert_eq!(lines[8], "let a1_v = 1u * 10u;");
    assert_eq!(lines.len(), 12);
    let map: Vec<u32> = assembled.line_map.iter().map(|origin| origin.line).collect();
    assert_eq!(map, [1, 2, 3, 4, 6, 8, 8, 8, 6, 8, 8, 11]);
    let more = assemble("test_repeat", &[("TILE", "3u".into())]).unwrap();
    assert!(more.source.contains("const TILE: u32 = 3u;") && more.source.contains("y[2 * 3u + 2u]"));

    let error = |name: &str| assemble(name, &[]).unwrap_err().to_string();
    assert!(error("test_bad_repeat").starts_with("shaders/test_bad_repeat.wgsl:2: `many`"));
    assert!(error("test_no_end").starts_with("shaders/test_no_end.wgsl:2: "));
    assert!(error("test_bad_use").starts_with("shaders/test_bad_use.wgsl:3: cannot use shaders/lib/nothing.wgsl"));
    assert!(error("test_bad_variable").starts_with("shaders/test_bad_variable.wgsl:2: `$k`"));
    assert!(assemble("test_repeat", &[("OTHER", "1".into())]).is_err());
}
