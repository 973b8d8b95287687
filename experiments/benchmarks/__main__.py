"""`python -m experiments.benchmarks`."""

from experiments.threads import sleep_soon

sleep_soon()

import torch

from experiments.benchmarks import evaluation, exact, language, pixels, proofs, study, training


def main() -> None:
    """Print the tables as Markdown: exact parts, studies, proofs on one thread; training on a GPU if there is one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print("| what | ours | a second | ours / limit | peer / ours | limit; peer |")
    print("|---|---|---|---|---|---|")
    for row in exact.rows():
        limit = f"{row.ours / row.limit:.2f}" if row.limit else ""
        peer = f"{row.peer / row.ours:,.0f}" if row.peer else ""
        what = "; ".join(filter(None, [row.limit_is, row.peer_is if row.peer else ""]))
        print(f"| {row.name} | {_time(row.ours)} | {1 / row.ours:,.0f} | {limit} | {peer} | {what} |", flush=True)
    print("\n| studies | ours | ours / goal | ours / limit | loop over functions / ours | loop over commands / ours |")
    print("|---|---|---|---|---|---|")
    for row in study.rows():
        ratios = [f"{x:.3g}" if x else "" for x in (row.limit, row.functions, row.commands)]
        print(
            f"| {row.name} | {row.ours:.3g} {row.unit} | {row.ours / row.goal:.2g} | {' | '.join(ratios)} |", flush=True
        )
    pixels.main()
    proofs.main()
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    evaluation.main(device)
    language.main(device)
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {threads} threads"
    print(
        f"\n| training, {name} | ours | ours / limit | peer / ours | extra memory, ours / peer "
        "| linear_cross_entropy / ours | extra memory, ours / it | fused kernel / ours | extra memory, ours / it "
        "| drawing / ours |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    columns = (
        "ours_over_limit",
        "peer_over_ours",
        "memory_ratio",
        "library_over_ours",
        "library_memory_ratio",
        "kernel_over_ours",
        "kernel_memory_ratio",
        "drawing_over_ours",
    )
    for row in training.rows(device):
        cells = [f"{row[column]:.3g}" if row.get(column) else "" for column in columns]
        print(f"| {row['name']} | {row['ours']:.4g} {row['unit']} | {' | '.join(cells)} |", flush=True)


def _time(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


if __name__ == "__main__":
    main()
