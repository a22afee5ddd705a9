from robot_rl.commission import machine
from robot_rl.commission.report import Finding, judged, worst


def test_this_machine_is_looked_at():
    found = {finding.name: finding for finding in machine.findings(drives=True)}
    assert list(found) == ["kernel", "priority", "cores", "disk", "clock"]
    for finding in found.values():
        assert bool(finding.mend) == (finding.level != "green"), finding


def test_a_stock_kernel_matters_only_where_the_arm_is_driven(monkeypatch):
    monkeypatch.setattr(machine, "_realtime", lambda: False)
    monkeypatch.setattr("platform.version", lambda: "#1 SMP")
    assert machine.kernel(drives=True).level == "yellow"
    assert machine.kernel(drives=False).level == "green"
    monkeypatch.setattr("platform.version", lambda: "#1 SMP PREEMPT_RT")
    assert machine.kernel(drives=True).level == "green"


def test_a_full_disk_is_red(monkeypatch, tmp_path):
    class Usage:
        free = 2**28

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    assert machine.disk(tmp_path).level == "red"


def test_judged_and_worst():
    levels = [judged("x", value, 1.0, 2.0, "d", "m").level for value in (0.5, 1.5, 2.5, float("nan"))]
    assert levels == ["green", "yellow", "red", "red"]
    assert worst([Finding("a", "yellow", ""), Finding("b", "red", "")]) == 1
    assert worst([Finding("a", "yellow", "")]) == 0
