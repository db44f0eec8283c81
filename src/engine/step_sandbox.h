// Runs a Dockerfile's RUN steps in throw-away sandboxes on the default bridge network: the builder's StepRunner.
#pragma once

#include "engine/build/builder.h"
#include "engine/container/start_job.h"
#include "engine/context.h"
#include "engine/networks.h"

namespace gantry::engine {

// run() is called on builds' own threads, and asks the loop for what belongs to it.
class StepSandbox final : public StepRunner {
 public:
  StepSandbox(Context& context, Networks& networks);

  Result<int> run(const Step& step, const std::function<void(std::string_view, bool is_stderr)>& output,
                  const CancelCheck& cancelled) override;

  // Kills what a crash of the daemon left of steps. Blocking; before the loop runs.
  void remove_leftovers();

 private:
  struct Running;
  Result<StartJob> describe(const Step& step, const ContainerId& id, Running& running);
  Result<EndpointState> take_endpoint(net::EndpointConfig& config);
  Result<int> follow(Running& running, const std::function<void(std::string_view, bool is_stderr)>& output,
                     const CancelCheck& cancelled);
  std::filesystem::path directory(const ContainerId& id) const;

  Context& context_;
  Networks& networks_;
};

}  // namespace gantry::engine
