#include "compose/blame.h"

#include "base/scope_exit.h"
#include "base/strings.h"
#include "compose/desired.h"
#include "compose/graph.h"

namespace gantry::compose {
namespace {

bool is_word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// `needle` in `text`, not as part of a longer word: port 80 is not in "8080".
bool mentions(const std::string& text, const std::string& needle) {
  if (needle.empty()) return false;
  for (size_t at = text.find(needle); at != std::string::npos; at = text.find(needle, at + 1)) {
    size_t end = at + needle.size();
    bool begins = at == 0 || !is_word_character(text[at - 1]) || !is_word_character(needle.front());
    bool ends = end == text.size() || !is_word_character(text[end]) || !is_word_character(needle.back());
    if (begins && ends) return true;
  }
  return false;
}

std::string item(const char* attribute, size_t index) {
  return std::string(attribute) + "[" + std::to_string(index) + "]";
}

std::string culprit_mount(const Service& service, const std::string& text) {
  for (size_t i = 0; i < service.volumes.size(); ++i) {
    if (mentions(text, service.volumes[i].target) || mentions(text, service.volumes[i].source)) {
      return item("volumes", i);
    }
  }
  return "";
}

std::string culprit_port(const Service& service, const std::string& text) {
  if (text.find("port") == std::string::npos && text.find("address") == std::string::npos) return "";
  for (size_t i = 0; i < service.ports.size(); ++i) {
    const std::string& published = service.ports[i].published;
    if (mentions(text, published)) return item("ports", i);
    for (const std::string& end : split(published, '-')) {
      if (mentions(text, end)) return item("ports", i);
    }
  }
  return "";
}

std::string culprit_program(const Service& service, const std::string& text) {
  bool is_program = text.find("exec") != std::string::npos || text.find("no such file") != std::string::npos;
  if (!is_program) return "";
  if (service.entrypoint && !service.entrypoint->empty()) return "entrypoint";
  if (service.command && !service.command->empty()) return "command";
  return "image";
}

// The attribute of the service that the text names; "" if it names none.
std::string culprit_attribute(const Service& service, const std::string& text) {
  for (const auto& found : {culprit_mount(service, text), culprit_port(service, text)}) {
    if (!found.empty()) return found;
  }
  for (const auto& [key, network] : service.networks) {
    if (network && mentions(text, network->ipv4_address)) return "networks." + key;
  }
  if (mentions(text, service.image)) return "image";
  if (mentions(text, service.user)) return "user";
  return culprit_program(service, text);
}

std::string not_done(const std::string& what, const char* verb) { return what + " not " + verb + ": "; }

std::string prefix(const std::string& project, const Action& action) {
  auto container = [&project](const ContainerRef& ref, const char* verb) {
    return not_done(display_name(project, ref.name), verb);
  };
  return std::visit(
      Overloaded{
          [](const CreateNetwork& a) { return not_done("network " + a.spec.name, "created"); },
          [](const RemoveNetwork& a) { return not_done("network " + a.network.name, "removed"); },
          [&](const ConnectNetwork& a) { return container(a.container, "connected"); },
          [&](const DisconnectNetwork& a) { return container(a.container, "disconnected"); },
          [](const CreateVolume& a) { return not_done("volume " + a.spec.name, "created"); },
          [](const RemoveVolume& a) { return not_done("volume " + a.name, "removed"); },
          [](const PullImage& a) { return not_done("image " + a.reference, "pulled"); },
          [](const RemoveImage& a) { return not_done("image " + a.reference, "removed"); },
          [&](const CreateContainer& a) { return not_done(display_name(project, a.final_name), "created"); },
          [&](const StartContainer& a) { return container(a.container, "started"); },
          [&](const StopContainer& a) { return container(a.container, "stopped"); },
          [&](const RestartContainer& a) { return container(a.container, "restarted"); },
          [&](const KillContainer& a) { return container(a.container, "killed"); },
          [&](const RemoveContainer& a) { return container(a.container, "removed"); },
          [&](const RenameContainer& a) { return container(a.container, "renamed"); },
          [](const RunHook&) { return std::string(); },
          [](const WaitFor&) { return std::string(); },  // its text is whole, and matched by scripts
      },
      action);
}

}  // namespace

std::string culprit(const Project& project, const Step& step, const Error& error) {
  constexpr std::string_view kServices = "services.";
  if (!step.subject.starts_with(kServices) || step.subject.find('.', kServices.size()) != std::string::npos) {
    return step.subject;
  }
  auto service = project.services.find(step.subject.substr(kServices.size()));
  if (service == project.services.end()) return step.subject;
  bool of_container = std::holds_alternative<CreateContainer>(step.action) ||
                      std::holds_alternative<StartContainer>(step.action) ||
                      std::holds_alternative<RestartContainer>(step.action);
  if (!of_container) return step.subject;
  std::string attribute = culprit_attribute(service->second, error.message());
  return attribute.empty() ? step.subject : step.subject + "." + attribute;
}

std::string explain(const Project* project, const std::string& project_name, const Step& step, const Error& error) {
  std::string text = prefix(project_name, step.action) + error.message();
  if (project == nullptr || step.subject.empty()) return text;
  std::string path = culprit(*project, step, error);
  if (const auto* wait = std::get_if<WaitFor>(&step.action)) path += std::string(": ") + to_string(wait->goal);
  Mark mark = project->mark_of(path.substr(0, path.find(": ")));
  if (mark.file.empty()) return text;
  return text + "\n  " + mark.to_string() + " (" + path + ")";
}

}  // namespace gantry::compose
