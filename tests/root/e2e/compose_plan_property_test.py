"""Random edits of a random project on the real engine: what `plan` says is what `up` does, and then there is nothing to do.

`compose_plan_property_test.py EDITS [SEED]` runs that many edits (./dev plans); in the suite a few do. The same property
over 10,000 edits on the simulated engine: tests/sim/plan_property_test.cc.
"""
import json
import random
import sys

from harness import GantryTest, main

EDITS = 12
SEED = 1


class RandomProject:
    """Services a…e with some attributes each; `edit` changes one thing."""

    def __init__(self, pick):
        self.pick = pick
        self.services = {}
        self.networks = {"n0": "1"}
        self.volumes = {"v0"}
        for name in "abc":
            self.services[name] = self.new_service()

    def new_service(self):
        return {"environment": {"X": "0"}, "labels": {}, "scale": 1, "networks": ["n0"], "volumes": [], "depends_on": [],
                "restart": "no", "stop_grace_period": "1s", "user": None}

    def edit(self):
        kinds = [self.change_environment, self.change_label, self.change_scale, self.change_networks, self.change_volumes,
                 self.change_dependencies, self.add_or_remove_service, self.change_restart, self.change_user, self.nothing]
        self.pick.choice(kinds)()

    def any_service(self):
        return self.pick.choice(sorted(self.services))

    def change_environment(self):
        self.services[self.any_service()]["environment"][self.pick.choice("XYZ")] = str(self.pick.randrange(3))

    def change_label(self):
        self.services[self.any_service()]["labels"][self.pick.choice("lm")] = str(self.pick.randrange(3))

    def change_scale(self):
        self.services[self.any_service()]["scale"] = self.pick.randrange(3)

    def change_networks(self):
        name = f"n{self.pick.randrange(3)}"
        self.networks.setdefault(name, "1")
        self.services[self.any_service()]["networks"] = sorted({"n0", name})

    def change_volumes(self):
        name = f"v{self.pick.randrange(2)}"
        self.volumes.add(name)
        self.services[self.any_service()]["volumes"] = self.pick.choice([[], [f"{name}:/data"], ["/anonymous"]])

    def change_dependencies(self):
        name = self.any_service()
        before = [other for other in sorted(self.services) if other < name]
        self.services[name]["depends_on"] = self.pick.sample(before, self.pick.randrange(len(before) + 1))

    def add_or_remove_service(self):
        name = self.pick.choice("abcde")
        if name not in self.services:
            self.services[name] = self.new_service()
        elif len(self.services) > 1:
            del self.services[name]
            for service in self.services.values():
                service["depends_on"] = [other for other in service["depends_on"] if other != name]

    def change_restart(self):
        self.services[self.any_service()]["restart"] = self.pick.choice(["no", "always", "on-failure:2"])

    def change_user(self):
        self.services[self.any_service()]["user"] = self.pick.choice([None, "app"])

    def nothing(self):
        pass

    def text(self):
        services = {}
        for name, service in self.services.items():
            services[name] = {"image": "busybox:test", "init": True, "command": ["sleep", "1000"]} | {
                key: value for key, value in service.items() if value not in (None, [], {})}
        used = {name for service in self.services.values() for name in service["networks"]}
        return json.dumps({"services": services, "networks": {name: {} for name in sorted(used)},
                           "volumes": {name: {} for name in sorted(self.volumes)}})


class PlanOnTheRealEngine(GantryTest):
    def ids(self):
        return {name: c["Id"] for name, c in self.gantry.containers().items()}

    def networks(self):
        return {n["Name"] for n in self.gantry.get("/networks") if n["Name"].startswith("prop_")}

    def volumes(self):
        return {v["Name"] for v in self.gantry.get("/volumes")["Volumes"] or [] if v["Name"].startswith("prop_")}

    def planned(self, report):
        """{action: {name}} of containers, networks and volumes."""
        done = {}
        for change in report["changes"]:
            done.setdefault((change["resource"], change["action"]), set()).add(change["name"])
        return done

    def test_what_is_planned_is_done_and_then_nothing_is_left_to_do(self):
        pick = random.Random(SEED)
        project = RandomProject(pick)
        for number in range(EDITS):
            with self.subTest(edit=number, seed=SEED):
                self.check_edit(project)
            project.edit()

    def check_edit(self, project):
        directory = self.gantry.project("prop", project.text())
        words = ("--remove-orphans",)
        planned = self.planned(json.loads(self.gantry.compose(directory, "plan", "--format", "json", *words).out))
        before, networks, volumes = self.ids(), self.networks(), self.volumes()
        self.gantry.compose(directory, "up", "-d", "-t", "0", *words)
        after = self.ids()
        text = project.text() + "\n" + str(planned)
        self.assertEqual({name for name in after if name not in before}, planned.get(("container", "create"), set()), text)
        self.assertEqual({name for name in before if name not in after}, planned.get(("container", "remove"), set()), text)
        self.assertEqual({name for name in after if before.get(name, after[name]) != after[name]},
                         planned.get(("container", "recreate"), set()), text)
        self.assertEqual(self.networks() - networks, planned.get(("network", "create"), set()), text)
        self.assertEqual(self.volumes() - volumes, planned.get(("volume", "create"), set()), text)
        self.gantry.compose(directory, "plan", "--exit-code", *words)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        EDITS = int(sys.argv[1])
        SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 1
        del sys.argv[1:]
    main()
