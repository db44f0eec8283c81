// Links: gantry_engine
// Any text as a Dockerfile: parsed, turned into stages, expanded. No answer is wrong but a crash.
#include "engine/build/dockerfile.h"
#include "engine/build/expand.h"
#include "engine/build/run_mounts.h"
#include "engine/build/stage_graph.h"

using namespace gantry::engine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const gantry::Result<Dockerfile> file = parse_dockerfile(text, "Dockerfile");
  if (!file.ok()) return 0;
  (void)make_stage_graph(*file, {.build_args = {{"A", "b"}}, .platform_args = {{"TARGETARCH", "amd64"}}, .target = {}})
      .ok();
  const VariableLookup lookup = [](const std::string& name) -> std::optional<std::string> {
    return name.size() % 2 == 0 ? std::optional<std::string>(name + "*") : std::nullopt;
  };
  for (const Instruction& instruction : file->instructions) {
    (void)expand(instruction.arguments, file->escape, lookup).ok();
    (void)parse_run_mounts(instruction, file->escape, lookup, "/w").ok();
    (void)instruction.text();
  }
  return 0;
}
