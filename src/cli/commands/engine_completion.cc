// gantry completion bash|zsh|fish: a script for the shell, which asks `gantry completion words …` for what may come
// next.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/commands/commands.h"
#include "cli/commands/engine_helpers.h"
#include "client/contexts.h"

namespace gantry::cli {

namespace {

constexpr std::string_view kBash = R"sh(# bash completion for gantry: eval "$(gantry completion bash)"
_gantry() {
  local IFS=$'\n'
  COMPREPLY=($(gantry completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default
}
complete -F _gantry gantry
)sh";
constexpr std::string_view kZsh = R"sh(#compdef gantry
# zsh completion for gantry: eval "$(gantry completion zsh)"
_gantry() {
  local -a found
  found=("${(@f)$(gantry completion words "${words[@]:1:$((CURRENT-1))}" 2>/dev/null)}")
  if [[ -n ${found[1]} ]]; then compadd -- "${found[@]}"; else _files; fi
}
compdef _gantry gantry
)sh";
constexpr std::string_view kFish = R"sh(# fish completion for gantry: gantry completion fish | source
complete -c gantry -f -a '(gantry completion words (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
)sh";

// What an argument of a command can be.
enum class Subject { nothing, container, running, image, volume, context, any };

Subject subject_of(const std::string& command) {
  const auto in = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, command) != names.end();
  };
  if (in({"attach", "exec", "kill", "pause", "stop", "top", "stats", "port"})) return Subject::running;
  if (in({"start", "restart", "rm", "logs", "wait", "commit", "diff", "export", "rename", "unpause", "update"}))
    return Subject::container;
  if (in({"run", "create", "rmi", "history", "save", "push", "tag", "images"})) return Subject::image;
  if (in({"volume rm", "volume inspect"})) return Subject::volume;
  if (in({"context use", "context rm", "context inspect"})) return Subject::context;
  return command == "inspect" ? Subject::any : Subject::nothing;
}

// A daemon that does not answer has no names; nothing is started for a completion.
void add_names(Session& session, Subject subject, std::vector<std::string>& words) {
  if (subject == Subject::context) {
    words.emplace_back("default");
    if (const auto contexts = client::Contexts(session.environment()).list(); contexts.ok()) {
      for (const client::Context& context : *contexts) words.push_back(context.name);
    }
    return;
  }
  const Globals& globals = session.globals();
  const auto endpoint = client::Endpoint::from_environment(session.environment(), globals.host, globals.data_root,
                                                           globals.run_root, globals.connection);
  if (!endpoint.ok()) return;
  auto api = client::ApiClient::connect(*endpoint, false);
  if (!api.ok()) return;
  const auto get = [&](const char* path) {
    auto answer = (*api)->request("GET", path);
    return answer.ok() && answer->status == 200 ? Value::parse(answer->body, nullptr, false) : Value();
  };
  if (subject == Subject::container || subject == Subject::running || subject == Subject::any) {
    for (const Value& container : get(subject == Subject::running ? "/containers/json" : "/containers/json?all=1")) {
      for (const Value& name : member_of(container, "Names")) words.push_back(name.get<std::string>().substr(1));
    }
  }
  if (subject == Subject::image || subject == Subject::any) {
    for (const Value& image : get("/images/json")) {
      for (const Value& tag : member_of(image, "RepoTags")) words.push_back(tag.get<std::string>());
    }
  }
  if (subject == Subject::volume || subject == Subject::any) {
    const Value volumes = get("/volumes");
    for (const Value& volume : member_of(volumes, "Volumes")) words.push_back(text_of(volume, "Name"));
  }
}

const Command* find(std::string_view name) {
  for (const Command* command : engine_commands()) {
    if (command->syntax.name == name) return command;
  }
  return nullptr;
}

std::vector<std::string> candidates(Session& session, const std::vector<std::string>& typed) {
  std::vector<std::string> words;
  const std::string last = typed.empty() ? "" : typed.back();
  std::vector<std::string> before;  // what is no option
  for (size_t i = 0; i + 1 < typed.size(); ++i) {
    if (!typed[i].starts_with('-')) before.push_back(typed[i]);
  }
  const Command* command = nullptr;
  if (before.size() > 1) command = find(before[0] + " " + before[1]);
  if (command == nullptr && before.size() > 1) {
    if (const auto other = engine_command_alias(before[0] + " " + before[1]); !other.empty()) command = find(other);
  }
  if (command == nullptr && !before.empty()) command = find(before[0]);
  if (command == nullptr) {
    const std::string group = before.empty() ? "" : before[0] + " ";
    for (const Command* known : engine_commands()) {
      if (!known->syntax.name.starts_with(group)) continue;
      const std::string rest(known->syntax.name.substr(group.size()));
      words.push_back(rest.substr(0, rest.find(' ')));
    }
    if (group.empty()) words.emplace_back("compose");
  } else if (last.starts_with('-')) {
    for (const Flag& flag : command->syntax.flags) {
      if (!flag.hidden && flag.refused.empty()) words.push_back("--" + std::string(flag.name));
    }
    words.emplace_back("--help");
  } else {
    add_names(session, subject_of(std::string(command->syntax.name)), words);
  }
  std::erase_if(words, [&](const std::string& word) { return !word.starts_with(last); });
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

Result<int> completion(Session& session, const Arguments& arguments) {
  const auto& words = arguments.positional();
  if (words[0] == "bash")
    session.out.write(kBash);
  else if (words[0] == "zsh")
    session.out.write(kZsh);
  else if (words[0] == "fish")
    session.out.write(kFish);
  else if (words[0] == "words") {
    for (const std::string& word : candidates(session, {words.begin() + 1, words.end()}))
      session.out.write(word + "\n");
  } else {
    return invalid("unknown shell " + gantry::quoted(words[0]) + ": bash, zsh or fish");
  }
  return 0;
}

}  // namespace

const Command kCompletion{.syntax = {.name = "completion",
                                     .arguments = "bash|zsh|fish",
                                     .summary = "Print the completion script of a shell",
                                     .flags = {},
                                     .least_arguments = 1,
                                     .interspersed = false},
                          .run = completion};

}  // namespace gantry::cli
