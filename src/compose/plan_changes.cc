#include "compose/plan_changes.h"

#include <algorithm>
#include <map>

#include "base/scope_exit.h"
#include "base/strings.h"

namespace gantry::compose {
namespace {

using ChangeKind = Change::Kind;
using Resource = Progress::Resource;

// Collects what the steps say about each resource; the first mention gives the place.
class Collector {
 public:
  explicit Collector(const Plan& plan) : plan_(plan) {}

  std::vector<Change> all() {
    for (const Step& step : plan_.steps) {
      if (const auto* remove = std::get_if<RemoveContainer>(&step.action)) removed_.insert(remove->container.name);
      if (const auto* remove = std::get_if<RemoveNetwork>(&step.action)) removed_networks_.insert(remove->network.name);
      if (const auto* remove = std::get_if<RemoveVolume>(&step.action)) removed_volumes_.insert(remove->name);
      if (const auto* create = std::get_if<CreateContainer>(&step.action)) created_.insert(create->final_name);
      if (const auto* create = std::get_if<CreateNetwork>(&step.action)) created_networks_.insert(create->spec.name);
      if (const auto* create = std::get_if<CreateVolume>(&step.action)) created_volumes_.insert(create->spec.name);
      if (const auto* start = std::get_if<StartContainer>(&step.action)) started_.insert(start->container.name);
    }
    for (const Step& step : plan_.steps) add(step);
    return std::move(changes_);
  }

 private:
  void add(const Step& step) {
    std::visit(
        Overloaded{
            [&](const CreateNetwork& a) {
              put(Resource::network, a.spec.name, removed_networks_.contains(a.spec.name) ? ChangeKind::recreate : ChangeKind::create,
                  step);
            },
            [&](const RemoveNetwork& a) {
              if (!created_networks_.contains(a.network.name)) put(Resource::network, a.network.name, ChangeKind::remove, step);
            },
            [&](const CreateVolume& a) {
              put(Resource::volume, a.spec.name, removed_volumes_.contains(a.spec.name) ? ChangeKind::recreate : ChangeKind::create,
                  step);
            },
            [&](const RemoveVolume& a) {
              if (!created_volumes_.contains(a.name)) put(Resource::volume, a.name, ChangeKind::remove, step);
            },
            [&](const PullImage& a) { put(Resource::image, a.reference, ChangeKind::pull, step); },
            [&](const RemoveImage& a) { put(Resource::image, a.reference, ChangeKind::remove, step); },
            [&](const CreateContainer& a) {
              put(Resource::container, a.final_name, removed_.contains(a.final_name) ? ChangeKind::recreate : ChangeKind::create, step);
            },
            [&](const RemoveContainer& a) {
              if (!created_.contains(a.container.name)) put(Resource::container, a.container.name, ChangeKind::remove, step);
            },
            [&](const StartContainer& a) { put(Resource::container, a.container.name, ChangeKind::start, step); },
            [&](const RestartContainer& a) { put(Resource::container, a.container.name, ChangeKind::restart, step); },
            [&](const StopContainer& a) {
              const std::string& name = a.container.name;
              if (removed_.contains(name) || created_.contains(name)) return;
              put(Resource::container, name, started_.contains(name) ? ChangeKind::restart : ChangeKind::stop, step);
            },
            [&](const KillContainer& a) { put(Resource::container, a.container.name, ChangeKind::stop, step); },
            [&](const RenameContainer& a) { put(Resource::container, a.name, ChangeKind::rename, step); },
            // Part of what is done to the network, or to the container.
            [](const ConnectNetwork&) {},
            [](const DisconnectNetwork&) {},
            [](const RunHook&) {},
            [](const WaitFor&) {},
        },
        step.action);
  }

  void put(Resource resource, const std::string& name, ChangeKind kind, const Step& step) {
    const auto [place, is_new] = index_.try_emplace({static_cast<int>(resource), name}, changes_.size());
    if (!is_new) {
      Change& known = changes_[place->second];
      if (known.cause.empty()) known.cause = step.cause;
      return;
    }
    changes_.push_back({.kind = kind, .resource = resource, .name = name, .service = service_of(step), .cause = step.cause});
  }

  static std::string service_of(const Step& step) {
    constexpr std::string_view kServices = "services.";
    if (!step.row.service.empty() || !step.subject.starts_with(kServices)) return step.row.service;
    return step.subject.substr(kServices.size(), step.subject.find('.', kServices.size()) - kServices.size());
  }

  const Plan& plan_;
  std::vector<Change> changes_;
  std::map<std::pair<int, std::string>, size_t> index_;
  std::set<std::string> removed_, removed_networks_, removed_volumes_;
  std::set<std::string> created_, created_networks_, created_volumes_;
  std::set<std::string> started_;
};

char sign(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::pull:
    case ChangeKind::create: return '+';
    case ChangeKind::recreate:
    case ChangeKind::rename: return '~';
    case ChangeKind::start:
    case ChangeKind::restart: return '>';
    case ChangeKind::stop:
    case ChangeKind::remove: return '-';
  }
  return ' ';
}

const char* noun(Resource resource) {
  switch (resource) {
    case Resource::network: return "network ";
    case Resource::volume: return "volume ";
    case Resource::image: return "image ";
    case Resource::container:
    case Resource::project:
    case Resource::service: break;
  }
  return "";
}

}  // namespace

const char* to_string(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::pull: return "pull";
    case ChangeKind::create: return "create";
    case ChangeKind::recreate: return "recreate";
    case ChangeKind::start: return "start";
    case ChangeKind::restart: return "restart";
    case ChangeKind::stop: return "stop";
    case ChangeKind::rename: return "rename";
    case ChangeKind::remove: return "remove";
  }
  return "";
}

std::vector<Change> changes_of(const Plan& plan) { return Collector(plan).all(); }

std::string change_line(const Change& change) {
  std::string line = std::string(1, sign(change.kind)) + " " + to_string(change.kind) + " " + noun(change.resource) +
                     change.name;
  if (!change.cause.empty()) line += ": " + change.cause;
  return line;
}

std::string summary_of(const std::vector<Change>& changes) {
  std::map<ChangeKind, int> counts;
  for (const Change& change : changes) ++counts[change.kind];
  std::vector<std::string> pieces;
  for (const auto& [kind, count] : counts) pieces.push_back(std::to_string(count) + " to " + to_string(kind));
  return join(pieces, ", ");
}

}  // namespace gantry::compose
