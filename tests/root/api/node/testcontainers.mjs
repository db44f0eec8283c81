// testcontainers as it is, with Ryuk off: ports, waiting, files, exec, networks, logs, commit, build.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { GenericContainer, Network, Wait } from "testcontainers";

const serve = ["sh", "-c", "mkdir -p /www && echo page > /www/index.html && echo listening && exec httpd -f -p 80 -h /www"];

const tests = {
  async "a mapped port serves when the wait is over"() {
    const container = await new GenericContainer("busybox:test").withCommand(serve).withExposedPorts(80)
      .withWaitStrategy(Wait.forListeningPorts()).start();
    const page = await fetch(`http://${container.getHost()}:${container.getMappedPort(80)}/`);
    assert.equal(await page.text(), "page\n");
    const run = await container.exec(["sh", "-c", "echo out; exit 3"]);
    assert.deepEqual([run.output, run.exitCode], ["out\n", 3]);
    await container.restart();
    await container.stop();
  },

  async "waits for log lines, and for health"() {
    const spoken = await new GenericContainer("busybox:test").withCommand(["sh", "-c", "echo almost; echo ready; exec sleep 1000"])
      .withWaitStrategy(Wait.forLogMessage("ready")).start();
    await spoken.stop();
    const well = await new GenericContainer("busybox:test").withCommand(["sleep", "1000"])
      .withHealthCheck({ test: ["CMD-SHELL", "true"], interval: 200, timeout: 3000, retries: 5, startPeriod: 0 })
      .withWaitStrategy(Wait.forHealthCheck()).start();
    await well.stop();
  },

  async "one-shot containers"() {
    const container = await new GenericContainer("busybox:test").withCommand(["true"])
      .withWaitStrategy(Wait.forOneShotStartup()).start();
    await container.stop();
  },

  async "files go in before the start and come out afterwards"() {
    const container = await new GenericContainer("busybox:test").withCommand(["sh", "-c", "cat /given/file; exec sleep 1000"])
      .withCopyContentToContainer([{ content: "from the test\n", target: "/given/file" }])
      .withWaitStrategy(Wait.forLogMessage("from the test")).start();
    const archive = await container.copyArchiveFromContainer("/given/file");
    let text = "";
    for await (const piece of archive) text += piece;
    assert.match(text, /from the test/);
    await container.stop();
  },

  async "containers of one network know each other by name"() {
    const network = await new Network().start();
    const server = await new GenericContainer("busybox:test").withCommand(serve).withNetwork(network)
      .withNetworkAliases("server").withWaitStrategy(Wait.forLogMessage("listening")).start();
    const client = await new GenericContainer("busybox:test").withCommand(["sleep", "1000"]).withNetwork(network).start();
    const page = await client.exec(["wget", "-q", "-O", "-", "http://server/"]);
    assert.equal(page.output, "page\n");
    await client.stop();
    await server.stop();
    await network.stop();
  },

  async "builds an image from a directory"() {
    const context = fs.mkdtempSync(path.join(os.tmpdir(), "gantry-node-"));
    fs.writeFileSync(path.join(context, "Dockerfile"), "FROM busybox:test\nARG WHO\nENV WHO=$WHO\nCMD echo built for $WHO; exec sleep 1000\n");
    const image = await GenericContainer.fromDockerfile(context).withBuildArgs({ WHO: "node" }).build();
    fs.rmSync(context, { recursive: true });
    const container = await image.withWaitStrategy(Wait.forLogMessage("built for node")).start();
    await container.stop();
  },
};

for (const [name, run] of Object.entries(tests)) {
  await run();
  console.log("ok " + name);
}
process.exit(0);
