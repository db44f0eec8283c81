#include "engine/build/build_job.h"

#include "base/strings.h"

namespace gantry::engine {

Result<> BuildJob::check_cancelled() const {
  if (cancelled && cancelled()) return Error(Code::cancelled, "the build was cancelled");
  return {};
}

void BuildJob::begin_step(const Instruction& instruction) {
  ++step;
  if (!progress) return;
  BuildProgress message;
  message.step = step;
  message.steps = steps;
  message.instruction = instruction.text();
  progress(message);
}

void BuildJob::say_cached() const {
  if (!progress) return;
  BuildProgress message;
  message.step = step;
  message.steps = steps;
  message.cached = true;
  progress(message);
}

void BuildJob::say(std::string_view output, bool is_stderr) const {
  if (!progress) return;
  BuildProgress message;
  message.step = step;
  message.steps = steps;
  message.output = std::string(output);
  message.is_stderr = is_stderr;
  progress(message);
}

Error BuildJob::at(const Instruction& instruction, Error error) const {
  constexpr size_t kMostShown = 200;
  if (error.code() == Code::cancelled || error.message().find("dockerfile parse error") == 0) return error;
  std::string text = instruction.text();
  if (text.size() > kMostShown) text = text.substr(0, kMostShown) + "...";
  return Error(error.code(), error.message() + "\n" + request.dockerfile + ":" + std::to_string(instruction.line) +
                                 ": " + text);
}

Result<Image> BuildJob::base_image(const std::string& reference) {
  if (!request.pull) {
    Result<Image> found = store.find(reference);
    const bool fits = found.ok() && (request.platform.empty() || (found->os == platform.os &&
                                                                  found->architecture == platform.architecture));
    if (fits) return found;
    if (!found.ok() && found.error().code() != Code::not_found) return std::move(found).error();
  }
  const TransferCallback transferring = [&](const TransferProgress& message) {
    if (message.total != 0) return;  // counts of bytes; the rest are events
    say((message.id.empty() ? std::string() : message.id + ": ") + message.status + "\n");
  };
  const ImageId id = TRY(store.pull(reference, {.platform = request.platform, .auth = {}}, transferring, cancelled));
  return store.find(id.str());
}

}  // namespace gantry::engine
