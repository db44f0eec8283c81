#include "engine/container/log_probe.h"

#include <regex.h>

#include <optional>

#include "base/strings.h"
#include "engine/container/log_reader.h"

namespace gantry::engine {
namespace {

constexpr size_t kMostLine = size_t{64} << 10;  // of one line that is looked at

class Expression {
 public:
  static Result<std::unique_ptr<Expression>> compile(const std::string& text) {
    std::unique_ptr<Expression> made(new Expression);
    const int problem = ::regcomp(&made->compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB);
    if (problem != 0) {
      char words[200];
      ::regerror(problem, &made->compiled_, words, sizeof words);
      return invalid("regular expression " + gantry::quoted(text) + ": " + words);
    }
    made->is_set_ = true;
    return made;
  }
  ~Expression() {
    if (is_set_) ::regfree(&compiled_);
  }
  bool matches(const std::string& line) const { return ::regexec(&compiled_, line.c_str(), 0, nullptr, 0) == 0; }

 private:
  Expression() = default;
  regex_t compiled_{};
  bool is_set_ = false;
};

}  // namespace

struct LogProbe::State {
  std::unique_ptr<LogReader> reader;
  std::unique_ptr<Expression> expression;
  Function<void(std::string)> matched;  // loop thread only
  bool wanted = true;                   // loop thread only

  // Blocking, on a thread of its own. → the line that matched
  std::optional<std::string> follow() {
    std::string line;
    for (;;) {
      auto entry = reader->next();
      if (!entry.ok() || !*entry) return std::nullopt;
      line += (*entry)->text;
      if (!line.ends_with('\n') && line.size() < kMostLine) continue;  // the rest of it follows
      while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
      if (expression->matches(line)) return line;
      line.clear();
    }
  }
};

Result<> check_log_expression(const std::string& expression) {
  TRY(Expression::compile(expression));
  return {};
}

Result<std::unique_ptr<LogProbe>> LogProbe::start(Tasks& tasks, const std::filesystem::path& log, WallTime since,
                                                  const std::string& expression, Function<void(std::string)> matched) {
  auto state = std::make_shared<State>();
  state->expression = TRY(Expression::compile(expression));
  state->reader = TRY(open_log(log, {.since = since, .follow = true}));
  state->matched = std::move(matched);
  tasks.run_long([state] { return state->follow(); },
                 [state](std::optional<std::string> line) {
                   if (state->wanted && line) state->matched(*std::move(line));
                 });
  return std::unique_ptr<LogProbe>(new LogProbe(std::move(state)));
}

LogProbe::LogProbe(std::shared_ptr<State> state) : state_(std::move(state)) {}

LogProbe::~LogProbe() {
  state_->wanted = false;
  state_->reader->stop();
}

}  // namespace gantry::engine
