# SPDX-License-Identifier: GPL-2.0-or-later
"""unittest with TAP output: `import tap; tap.main()` ends a test file."""
import sys
import unittest


class Result(unittest.TestResult):
    """Prints one TAP line a test, named by its docstring or its method."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def _line(self, verdict, test, tail=""):
        self.count += 1
        name = test.shortDescription() or test.id().split(".", 1)[-1]
        print(f"{verdict} {self.count} - {name}{tail}", flush=True)

    def _details(self, err, test):
        for line in self._exc_info_to_string(err, test).splitlines():
            print(f"#   {line}", flush=True)

    def addSuccess(self, test):
        self._line("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line("not ok", test)
        self._details(err, test)

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.failures.append((test, str(subtest)))
            self._line("not ok", test, f" {subtest._subDescription()}")
            self._details(err, test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("ok", test, f" # SKIP {reason}")


def add_rows(case, rows):
    """A test of `case` for each (name, arguments): self.check(*arguments)."""
    for i, (name, arguments) in enumerate(rows):
        def test(self, arguments=arguments):
            self.check(*arguments)
        test.__doc__ = name
        setattr(case, f"test_{i:03}", test)


def main():
    """Run the tests of the calling file (or those named in argv)."""
    names = sys.argv[1:] or None
    loader = unittest.TestLoader()
    module = sys.modules["__main__"]
    suite = (loader.loadTestsFromNames(names, module) if names
             else loader.loadTestsFromModule(module))
    result = Result()
    suite.run(result)
    print(f"1..{result.count}")
    sys.exit(0 if not result.failures and result.count else 1)
