#include "engine/build/build_job.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "engine/image/reference.h"

namespace gantry::engine {
namespace {

constexpr size_t kMostTail = 4096;
constexpr unsigned kContextLines = 2;

// "Dockerfile:3" and the lines around the instruction, the instruction's own marked.
std::string excerpt(const BuildJob& job, const Instruction& instruction) {
  const std::vector<std::string>& lines = job.file.lines;
  if (instruction.line == 0 || instruction.line > lines.size()) return "";
  constexpr unsigned kMostOwn = 20;
  const unsigned first = instruction.line;
  const unsigned last = std::min({static_cast<unsigned>(lines.size()), std::max(instruction.last_line, first),
                                  first + kMostOwn});
  const unsigned from = first > kContextLines ? first - kContextLines : 1;
  const unsigned to = std::min(static_cast<unsigned>(lines.size()), last + kContextLines);
  const std::string rule = "\n--------------------";
  std::string text = "\n" + job.request.dockerfile + ":" + std::to_string(first) + rule;
  for (unsigned line = from; line <= to; ++line) {
    std::array<char, 16> number{};
    snprintf(number.data(), number.size(), "%4u", line);
    const bool is_own = line >= first && line <= last;
    text += "\n" + std::string(number.data()) + (is_own ? " | >>> " : " |     ") + lines[line - 1];
  }
  return text + rule;
}

}  // namespace

void OutputOrder::send(size_t stage, BuildProgress message) {
  std::lock_guard lock(mutex_);
  if (failed_) return;
  waiting_[stage].messages.push_back(std::move(message));
  flush();
}

void OutputOrder::end(size_t stage) {
  std::lock_guard lock(mutex_);
  waiting_[stage].ended = true;
  flush();
}

void OutputOrder::fail(size_t stage) {
  std::lock_guard lock(mutex_);
  if (std::exchange(failed_, true)) return;
  for (const BuildProgress& message : waiting_[stage].messages) {
    if (callback_) callback_(message);
  }
}

void OutputOrder::flush() {
  while (current_ < waiting_.size()) {
    Waiting& stage = waiting_[current_];
    for (; !stage.messages.empty(); stage.messages.pop_front()) {
      if (callback_) callback_(stage.messages.front());
    }
    if (!stage.ended) return;
    ++current_;
  }
}

BuildProgress StageOutput::message() const {
  BuildProgress message;
  message.step = step_;
  message.steps = steps_;
  return message;
}

void StageOutput::begin_step(const Instruction& instruction) {
  ++step_;
  tail_.clear();
  BuildProgress begun = message();
  begun.instruction = instruction.text();
  order_.send(place_, std::move(begun));
}

void StageOutput::say_cached() {
  BuildProgress said = message();
  said.cached = true;
  order_.send(place_, std::move(said));
}

void StageOutput::say(std::string_view output, bool is_stderr) {
  tail_ += output;
  if (tail_.size() > 2 * kMostTail) tail_.erase(0, tail_.size() - kMostTail);
  BuildProgress said = message();
  said.output = std::string(output);
  said.is_stderr = is_stderr;
  order_.send(place_, std::move(said));
}

Result<> BuildJob::check_cancelled() {
  if (cancelled && cancelled()) return Error(Code::cancelled, "the build was cancelled");
  std::lock_guard lock(mutex);
  if (failure.has_value()) return Error(Code::cancelled, "another stage has failed");
  return {};
}

CancelCheck BuildJob::stop_check() {
  return [this] { return !check_cancelled().ok(); };
}

Error BuildJob::at(const Instruction& instruction, Error error, const std::string& /*output*/) const {
  if (error.code() == Code::cancelled || error.message().find("dockerfile parse error") == 0) return error;
  return Error(error.code(), error.message() + excerpt(*this, instruction));
}

Result<Image> BuildJob::base_image(const std::string& reference, const std::string& wanted, StageOutput& output) {
  const std::string asked = wanted.empty() ? request.platform : wanted;
  const Platform fitting = asked.empty() ? platform : TRY(Platform::parse(asked));
  if (!request.pull) {
    Result<Image> found = store.find(reference);
    const bool fits = found.ok() && (asked.empty() || (found->os == fitting.os &&
                                                       found->architecture == fitting.architecture));
    if (fits) return found;
    if (!found.ok() && found.error().code() != Code::not_found) return std::move(found).error();
  }
  const TransferCallback transferring = [&](const TransferProgress& message) {
    if (message.total != 0) return;  // counts of bytes; the rest are events
    output.say((message.id.empty() ? std::string() : message.id + ": ") + message.status + "\n");
  };
  const Result<Reference> parsed = Reference::parse(reference);
  const auto auth = parsed.ok() ? request.auths.find(parsed->domain) : request.auths.end();
  const ImageId id = TRY(store.pull(reference,
                                    {.platform = asked, .auth = auth == request.auths.end() ? "" : auth->second},
                                    transferring, stop_check()));
  return store.find(id.str());
}

Result<StageResult> BuildJob::result_of(size_t stage) {
  const bool is_needed = std::find(graph.needed.begin(), graph.needed.end(), stage) != graph.needed.end();
  // Only a trigger of a base image can name a stage that the file itself does not need.
  if (!is_needed) {
    return invalid("stage " + gantry::quoted(graph.stages[stage].name) +
                   " is used by an ONBUILD trigger only: name it in this Dockerfile, too, as by COPY --from");
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return failure.has_value() || results.contains(stage); });
  const auto found = results.find(stage);
  if (found == results.end()) return Error(Code::cancelled, "another stage has failed");
  return found->second;
}

}  // namespace gantry::engine
