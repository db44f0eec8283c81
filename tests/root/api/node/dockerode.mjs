// dockerode as it is: create, attach, exec, logs, stats, events, archives, build. Fails with a stack trace.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import zlib from "node:zlib";
import Docker from "dockerode";

const docker = new Docker({ socketPath: process.env.DOCKER_HOST.replace("unix://", "") });

// Reads multiplexed output to its end.
async function demultiplexed(stream) {
  const out = new PassThrough();
  const err = new PassThrough();
  docker.modem.demuxStream(stream, out, err);
  stream.on("end", () => { out.end(); err.end(); });
  return Promise.all([text(out), text(err)]);
}

// A tar of small files: only what ustar needs.
function tar(files) {
  const blocks = [];
  for (const [name, content] of Object.entries(files)) {
    const head = Buffer.alloc(512);
    const body = Buffer.from(content);
    head.write(name, 0);
    head.write("0000644\0" + "0000000\0" + "0000000\0", 100);
    head.write(body.length.toString(8).padStart(11, "0") + "\0" + "00000000000\0" + "        " + "0", 124);
    head.write("ustar\0" + "00", 257);
    const sum = head.reduce((a, b) => a + b, 0);
    head.write(sum.toString(8).padStart(6, "0") + "\0 ", 148);
    blocks.push(head, body, Buffer.alloc((512 - (body.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const tests = {
  async "ping, version, info"() {
    assert.equal((await docker.ping()).toString(), "OK");
    assert.equal((await docker.version()).ApiVersion, "1.50");
    assert.equal((await docker.info()).OSType, "linux");
  },

  async "run streams the output and tells the code"() {
    const out = new PassThrough();
    const collected = text(out);
    const [result, container] = await docker.run("busybox:test", ["sh", "-c", "echo hello; exit 3"], out);
    assert.equal(result.StatusCode, 3);
    out.end();
    assert.match(await collected, /hello/);
    await container.remove();
  },

  async "attach with hijack carries both ways"() {
    const container = await docker.createContainer({ Image: "busybox:test", Cmd: ["cat"], OpenStdin: true, StdinOnce: true });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const output = demultiplexed(stream);
    await container.start();
    stream.write("typed\n");
    stream.end();
    assert.equal((await output)[0], "typed\n");
    assert.equal((await container.wait()).StatusCode, 0);
    await container.remove();
  },

  async "exec, with and without hijack"() {
    const container = await docker.createContainer({ Image: "busybox:test", Cmd: ["sleep", "1000"] });
    await container.start();
    // Many: what is lost when the program has ended before the client reads is lost seldom.
    for (let round = 0; round < 100; ++round) {
      const hijack = round % 2 === 0;
      const exec = await container.exec({ Cmd: ["sh", "-c", "echo out; echo err >&2; exit 7"], AttachStdout: true, AttachStderr: true });
      const [out, err] = await demultiplexed(await exec.start({ hijack, stdin: false }));
      assert.deepEqual([out, err], ["out\n", "err\n"]);
      const state = await exec.inspect();
      assert.deepEqual([state.Running, state.ExitCode], [false, 7]);
    }
    await container.remove({ force: true });
  },

  async "logs, stats, top, rename, update"() {
    const container = await docker.createContainer({ name: "talks", Image: "busybox:test", Cmd: ["sh", "-c", "echo one; echo two; exec sleep 1000"] });
    await container.start();
    const follow = await container.logs({ follow: true, stdout: true, stderr: true });
    const lines = await new Promise((done) => {
      let seen = "";
      const out = new PassThrough();
      docker.modem.demuxStream(follow, out, out);
      out.on("data", (piece) => { seen += piece; if (seen.includes("two\n")) done(seen); });
    });
    follow.destroy();
    assert.equal(lines, "one\ntwo\n");
    const stats = await container.stats({ stream: false });
    assert.equal(stats.name, "/talks");
    assert.ok(stats.memory_stats.usage > 0);
    assert.ok((await container.top()).Titles.includes("PID"));
    await container.rename({ name: "said" });
    await container.update({ Memory: 64 << 20, MemorySwap: 128 << 20 });
    const state = await container.inspect();
    assert.deepEqual([state.Name, state.HostConfig.Memory], ["/said", 64 << 20]);
    await container.kill();
    await container.remove();
    await assert.rejects(container.inspect(), { statusCode: 404 });
  },

  async "archives in and out"() {
    const container = await docker.createContainer({ Image: "busybox:test", Cmd: ["cat", "/tmp/given"] });
    await container.putArchive(zlib.gzipSync(tar({ given: "from node\n" })), { path: "/tmp" });
    await container.start();
    await container.wait();
    assert.match((await container.logs({ stdout: true })).toString(), /from node/);
    assert.match(await text(await container.getArchive({ path: "/tmp/given" })), /from node/);
    await container.remove();
  },

  async "events"() {
    const stream = await docker.getEvents({ filters: { type: ["container"] } });
    const actions = new Promise((done) => {
      const seen = [];
      stream.on("data", (line) => {
        for (const text of line.toString().trim().split("\n")) seen.push(JSON.parse(text).Action);
        if (seen.at(-1) === "destroy") done(seen);
      });
    });
    const container = await docker.createContainer({ Image: "busybox:test", Cmd: ["true"] });
    await container.start();
    await container.wait();
    await container.remove();
    assert.deepEqual(await actions, ["create", "start", "die", "destroy"]);
    stream.destroy();
  },

  async "build"() {
    const context = tar({ Dockerfile: "FROM busybox:test\nCOPY file /file\nCMD cat /file\n", file: "copied\n" });
    const stream = await docker.buildImage(PassThrough.from([context]), { t: "node-built:1" });
    const log = await new Promise((done, failed) =>
      docker.modem.followProgress(stream, (error, lines) => (error ? failed(error) : done(lines))));
    assert.ok(log.some((line) => /Successfully tagged node-built:1/.test(line.stream ?? "")), JSON.stringify(log));
    await docker.getImage("node-built:1").remove();
  },
};

for (const [name, run] of Object.entries(tests)) {
  await run();
  console.log("ok " + name);
}
