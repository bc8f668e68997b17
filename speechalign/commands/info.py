"""`speechalign info`: versions, devices, and what a model is made of and knows."""

from speechalign.assets import PACKAGED
from speechalign.commands.parsing import run
from speechalign.languages import names


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(info, verb, arguments)


def info(checkpoint: str = PACKAGED) -> None:
    """Show versions, devices and the languages of a model.

    Args:
        checkpoint: A checkpoint of `speechalign fit`, an exported folder, or its Hub id.
    """
    import torch  # for which, and for what loads it, no --help waits

    from speechalign.evaluation.scoring import software
    from speechalign.models import artifact

    for package, version in software().items():
        print(f"{package:<14}{version}")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"{'GPUs':<14}{', '.join(gpus) or 'none'}")
    model = artifact.read(checkpoint)
    print(f"{'model':<14}{checkpoint}")
    for name, settings in model.parts.items():
        told = ", ".join(f"{k} {v}" for k, v in (settings or {}).items() if v is not None)
        print(f"  {name:<12}{told or 'none'}")
    weights = sum(weight.numel() for weight in model.weights.values())
    print(f"  {'weights':<12}{weights:,} of its own, beside encoder and LLM")
    known = model.about["languages"]
    print(f"  {'trained':<12}{names(known['trained'])}")
    print(f"  {'zero-shot':<12}{names(known['zero_shot']) or 'none'}")
    print(f"  {'into':<12}{names([known['target']])}")
