"""Times PyTorch on the workloads and kernels of `toile bench`, and OpenBLAS (numpy) on matrix products, row by row.

    python3 -m venv peers && peers/bin/pip install torch numpy     # several GB: PyTorch brings NVIDIA's libraries along
    peers/bin/python benches/peers.py                              # everything; or: … benches/peers.py W1 conv

Two threads (`--threads N`), f32, training steps in the frozen kind: the discriminator's weight gradients are not
computed in the generator's half, which works on the discriminator step's fakes. Each row is timed with both memory
formats and says which; medians of five. Run it and `toile bench --device cpu` one after the other on an idle machine.

Workloads run each in a process of its own, as those of `toile bench` do: seconds from its start to the end of its first
step, its peak resident memory, what it held of that after importing PyTorch, and the networks' parameters. The parameters
are those of toile's networks (a test in src/bench holds the same numbers).

glibc gives large freed blocks back to the system and fetches fresh pages for the next ones, which costs the seed step a quarter of its
time. toile keeps its buffers; so that PyTorch is timed at its best, it keeps them here, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy
import torch
from torch import nn
from torch.nn import functional as F

RUNS = 5
SHORTEST = 0.02  # seconds: shorter runs are repeated


class Bench:
    def __init__(self, filters, processor):
        self.filters = filters
        self.clock = time.process_time if processor else time.perf_counter
        self.share = 0.5 if processor else 1.0

    def seconds(self, run):
        """The median of five runs, each so often that it takes long enough to be timed."""
        run()
        start = self.clock()
        run()
        repeats = max(1, int(SHORTEST / max(self.clock() - start, 1e-9)) + 1)
        taken = []
        for _ in range(RUNS):
            start = self.clock()
            for _ in range(repeats):
                run()
            taken.append((self.clock() - start) / repeats)
        return statistics.median(taken) * self.share

    def wants(self, name):
        return not self.filters or any(f.lower() in name.lower() for f in self.filters)

    def rate(self, name, kind, amount, unit, run):
        if self.wants(name):
            taken = self.seconds(run)
            print(f"{name:34} {kind:14} {amount / taken * 1e-9:9.1f} {unit:8} {taken * 1e3:9.3f} ms", flush=True)


# Networks. Shapes as in toile's recipes: images NCHW.


class Crop(nn.Module):
    """[C, 10, 10] -> [C, 7, 7]: what 'same' leaves of a 4x4 transposed convolution at stride 1."""

    def forward(self, x):
        return x[:, :, 1:-2, 1:-2]


def seed_networks():
    norm = {"momentum": 0.2, "eps": 1e-3}
    generator = nn.Sequential(
        nn.Linear(100, 147), nn.LeakyReLU(0.2), nn.BatchNorm1d(147, **norm), nn.Unflatten(1, (3, 7, 7)),
        nn.ConvTranspose2d(3, 64, 4), Crop(), nn.LeakyReLU(0.2), nn.BatchNorm2d(64, **norm),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.BatchNorm2d(32, **norm),
        nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(128 * 49, 1), nn.Sigmoid(),
    )
    return generator, discriminator


def dcgan_networks(width=64):
    up = lambda a, b, stride, padding: nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False)
    down = lambda a, b, stride, padding: nn.Conv2d(a, b, 4, stride, padding, bias=False)
    layers = [nn.Unflatten(1, (100, 1, 1))]
    for a, b, stride, padding in [(100, 8, 1, 0), (8, 4, 2, 1), (4, 2, 2, 1), (2, 1, 2, 1)]:
        a = a if a == 100 else a * width
        layers += [up(a, b * width, stride, padding), nn.BatchNorm2d(b * width), nn.ReLU(True)]
    generator = nn.Sequential(*layers, up(width, 3, 2, 1), nn.Tanh())
    layers = [down(3, width, 2, 1), nn.LeakyReLU(0.2, True)]
    for a, b in [(1, 2), (2, 4), (4, 8)]:
        layers += [down(a * width, b * width, 2, 1), nn.BatchNorm2d(b * width), nn.LeakyReLU(0.2, True)]
    discriminator = nn.Sequential(*layers, down(8 * width, 1, 1, 0), nn.Flatten(), nn.Sigmoid())
    return generator, discriminator


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        half = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c)]
        self.body = nn.Sequential(*half(), nn.ReLU(True), *half())

    def forward(self, x):
        return x + self.body(x)


def cyclegan_generator(n=64):
    after = lambda c: [nn.InstanceNorm2d(c), nn.ReLU(True)]
    up = lambda a, b: [nn.ConvTranspose2d(a, b, 3, 2, 1, 1), *after(b)]
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(3, n, 7), *after(n),
        nn.Conv2d(n, 2 * n, 3, 2, 1), *after(2 * n), nn.Conv2d(2 * n, 4 * n, 3, 2, 1), *after(4 * n),
        *[Residual(4 * n) for _ in range(9)],
        *up(4 * n, 2 * n), *up(2 * n, n), nn.ReflectionPad2d(3), nn.Conv2d(n, 3, 7), nn.Tanh(),
    )


class CriticBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, each way halved by a mean over 2x2 where `half` is set; `first`: without the
    activation before, and with the shortcut's 1x1 convolution after the mean, not before."""

    def __init__(self, a, b, half=False, first=False):
        super().__init__()
        same = lambda a, k: nn.Conv2d(a, b, k, padding=k // 2)
        mean = [nn.AvgPool2d(2)] if half else []
        before = [] if first else [nn.ReLU()]  # not in place: the shortcut needs its input, too
        self.body = nn.Sequential(*before, same(a, 3), nn.ReLU(True), same(b, 3), *mean)
        shortcut = [*mean, same(a, 1)] if first else [same(a, 1), *mean] if half else []
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


def wgan_gp_critic(n=128):
    """Gulrajani et al. 2017, appendix F: CIFAR's critic, without normalisation."""
    blocks = [CriticBlock(3, n, True, True), CriticBlock(n, n, True), CriticBlock(n, n), CriticBlock(n, n)]
    critic = nn.Sequential(*blocks, nn.ReLU(True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, 1))
    for layer in critic.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return critic


# Steps.


def adversarial_step(networks, z, real, layout, eps):
    generator, discriminator = (network.to(memory_format=layout) for network in networks)
    real = real.to(memory_format=layout)
    optimizers = [
        torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999), eps, fused=True)
        for network in (generator, discriminator)
    ]
    ones, zeros = torch.ones(len(z), 1), torch.zeros(len(z), 1)
    bce = F.binary_cross_entropy

    def step():
        fake = generator(z)
        d_loss = bce(discriminator(real), ones) + bce(discriminator(fake.detach()), zeros)
        optimizers[1].zero_grad()
        d_loss.backward()
        optimizers[1].step()
        discriminator.requires_grad_(False)
        g_loss = bce(discriminator(fake), ones)
        optimizers[0].zero_grad()
        g_loss.backward()
        optimizers[0].step()
        discriminator.requires_grad_(True)
        return d_loss.item(), g_loss.item()

    return step


def wgan_gp_step(critic, real, fake, layout):
    """E[D(fake)] - E[D(real)] + 10 E[(|dD/dx| - 1)^2] at x on straight lines between real and fake, and Adam."""
    critic, real, fake = (of.to(memory_format=layout) for of in (critic, real, fake))
    adam = torch.optim.Adam(critic.parameters(), 2e-4, (0.0, 0.9), 1e-8, fused=True)
    between = torch.lerp(real, fake, torch.rand(len(real), 1, 1, 1))

    def step():
        x = between.detach().requires_grad_()
        [slope] = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        penalty = 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        loss = critic(fake).mean() - critic(real).mean() + penalty
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    return step


def inference_step(generator, x, layout):
    generator, x = generator.to(memory_format=layout).eval(), x.to(memory_format=layout)

    def step():
        with torch.inference_mode():
            generator(x)

    return step


# Workloads. Each function makes the networks and their step.


def seed(layout):
    networks = seed_networks()
    return networks, adversarial_step(networks, torch.randn(64, 100), torch.rand(64, 3, 28, 28), layout, 1e-7)


def dcgan(layout):
    networks = dcgan_networks()
    return networks, adversarial_step(networks, torch.randn(16, 100), torch.rand(16, 3, 64, 64), layout, 1e-8)


def cyclegan(layout):
    generator = cyclegan_generator()
    return [generator], inference_step(generator, torch.rand(1, 3, 128, 128), layout)


def wgan_gp(layout):
    critic = wgan_gp_critic()
    real, fake = torch.rand(16, 3, 32, 32) * 2 - 1, torch.rand(16, 3, 32, 32) * 2 - 1
    return [critic], wgan_gp_step(critic, real, fake, layout)


WORKLOADS = {
    "W1 seed step, batch 64": seed,
    "W2 DCGAN-64 step, batch 16": dcgan,
    "W4 CycleGAN generator, 1x3x128x128": cyclegan,
    "WGAN-GP critic step, batch 16": wgan_gp,
}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def memory(field):
    """Bytes that Linux says this process holds: VmRSS now, VmHWM at most so far. None on other systems."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))
    except (OSError, StopIteration):
        return None


def one_workload(bench, name, kind):
    """In the process of its own: says when the first step is done, and what it measured."""
    imported = memory("VmHWM")
    networks, step = WORKLOADS[name](LAYOUTS[kind])
    first = step()
    print("first", flush=True)
    taken = bench.seconds(step)
    parameters = sum(p.numel() for network in networks for p in network.parameters())
    print(json.dumps({"seconds": taken, "peak": memory("VmHWM"), "imported": imported, "parameters": parameters,
                      "first": first}))


def workloads(bench, options):
    mib = lambda of: "-" if of is None else of >> 20
    for name in filter(bench.wants, WORKLOADS):
        for kind in LAYOUTS:
            start = time.perf_counter()
            command = [sys.executable, __file__, "--one", name, kind, *options]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                lines = [(line, time.perf_counter() - start) for line in child.stdout]
            if child.returncode != 0:
                sys.exit(f"{name}: the process that measured it ended with {child.returncode}")
            (_, first), (result, _) = lines
            r = json.loads(result)
            loss = "" if r["first"] is None else f", first loss {r['first']}"
            print(f"{name:34} {kind:14} {r['seconds'] * 1e3:9.2f} ms   first step after {first:5.2f} s   peak {mib(r['peak'])} MiB "
                  f"({mib(r['imported'])} after importing)   {r['parameters']} parameters{loss}", flush=True)


# Kernels.


def kernels(bench):
    for n in (512, 1024):
        a, b = torch.randn(n, n), torch.randn(n, n)
        bench.rate(f"matmul {n}", "torch", 2 * n**3, "GFLOP/s", lambda: a @ b)
        c, d = a.numpy(), b.numpy()
        bench.rate(f"matmul {n}", "numpy", 2 * n**3, "GFLOP/s", lambda: numpy.matmul(c, d))
    flop = 2 * 32 * 128 * 256 * 1024
    for kind, layout in LAYOUTS.items():
        x, dy = (torch.randn(*s).to(memory_format=layout) for s in [(32, 64, 32, 32), (32, 128, 16, 16)])
        w = torch.randn(128, 64, 4, 4).to(memory_format=layout)
        back = lambda mask: torch.ops.aten.convolution_backward(
            dy, x, w, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1, mask)
        rows = [
            ("conv2d", lambda: F.conv2d(x, w, None, 2, 1)),
            ("conv2d_input (dx)", lambda: back([True, False, False])),
            ("conv2d_weight (dw)", lambda: back([False, True, False])),
            ("conv_transpose2d", lambda: F.conv_transpose2d(dy, w, None, 2, 1)),
        ]
        with torch.inference_mode():
            for name, run in rows:
                bench.rate(name, kind, flop, "GFLOP/s", run)
        image = torch.randn(64, 64, 32, 32).to(memory_format=layout).requires_grad_()
        cotangent = torch.randn(64, 64, 32, 32).to(memory_format=layout)
        norm = nn.BatchNorm2d(64)

        def forward_and_backward():
            torch.autograd.grad(norm(image), [image, norm.weight, norm.bias], cotangent)

        bench.rate("batch_norm forward and backward", kind, 5 * 4 * image.numel(), "GB/s", forward_and_backward)
    many = torch.randn(1 << 22)
    bench.rate("leaky_relu", "torch", 8 * many.numel(), "GB/s", lambda: F.leaky_relu(many, 0.2))
    bench.rate("tanh", "torch", 8 * many.numel(), "GB/s", lambda: torch.tanh(many))
    parameter = torch.zeros(10_000_000, requires_grad=True)
    parameter.grad = torch.full_like(parameter, 0.25)
    adam = torch.optim.Adam([parameter], fused=True)
    bench.rate("adam", "torch fused", 28 * parameter.numel(), "GB/s", adam.step)


KEEP_FREED = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}


def main():
    if not KEEP_FREED.items() <= os.environ.items():
        # glibc reads them when a process starts.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_FREED})
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filter", nargs="*", help="rows whose name contains one of these; all if none is given")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch (2)")
    parser.add_argument("--processor", action="store_true",
                        help="for busy machines: one thread, half its processor time in place of two threads' time")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.processor:
        arguments.threads = 1
    torch.manual_seed(1)
    torch.set_num_threads(arguments.threads)
    bench = Bench(arguments.filter, arguments.processor)
    if arguments.one:
        return one_workload(bench, *arguments.one)
    print(f"PyTorch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), numpy {numpy.__version__}, "
          f"{torch.get_num_threads()} threads")
    if arguments.processor:
        print("half the processor time of one thread")
    workloads(bench, ["--threads", str(arguments.threads), *(["--processor"] if arguments.processor else [])])
    kernels(bench)


if __name__ == "__main__":
    main()
