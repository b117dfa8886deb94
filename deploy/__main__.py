"""`python -m deploy COMMAND`: parses, calls, prints; decides nothing."""

import sys
from collections.abc import Sequence

from deploy.shell import Failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0 ok, 1 failed, 2 usage."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        # target: vps
        # A rollback need not wait 0.7 s for what checks manifests.
        if words[:1] == ["vps"]:
            from deploy.vps import cli as vps

            return vps.main(words[1:])
        # end of target: vps
        if words[:1] == ["log"]:
            from deploy.pipeline import audit

            return audit.main(words[1:])
        if words[:1] in (["promote"], ["rollback"]):
            from deploy.pipeline import cli as pipeline

            return pipeline.main(words)
        from deploy import cli

        return cli.main(words)
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}: `make setup` installs it, for .venv/bin/python -m deploy")
    except Failed as failure:
        print(f"failed: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
