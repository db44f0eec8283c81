#include "daemon/docker/container_list.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "daemon/docker/container_json.h"
#include "daemon/docker/container_spec.h"

namespace gantry::daemon::docker {
namespace {

using engine::ListedContainer;
using engine::ContainerState;

constexpr std::array<std::string_view, 15> kKnown = {"ancestor", "before",  "exited", "expose", "health",
                                                     "id",       "is-task", "label",  "label!", "name",
                                                     "network",  "publish", "since",  "status", "volume"};
constexpr std::array<std::string_view, 7> kStates = {"created",  "running", "paused", "restarting",
                                                     "removing", "exited",  "dead"};
constexpr std::array<std::string_view, 4> kHealth = {"none", "starting", "healthy", "unhealthy"};

template <size_t N>
Result<> check_words(const Filters& filters, const std::string& key, const std::array<std::string_view, N>& words,
                     const std::string& what) {
  for (const std::string& value : filters.values(key)) {
    if (std::find(words.begin(), words.end(), value) != words.end()) continue;
    std::string list;
    for (const std::string_view word : words) list.append(list.empty() ? "" : ", ").append(word);
    return invalid("invalid filter '" + key + "=" + value + "': invalid value for " + what + " (" + value +
                   "): must be one of " + list);
  }
  return {};
}

// "80", "80/udp", "80-90/tcp".
Result<bool> covers(const std::string& text, const engine::ExposedPort& port) {
  const size_t slash = text.find('/');
  const std::string range = text.substr(0, slash);
  const size_t dash = range.find('-');
  const std::string suffix = slash == std::string::npos ? "" : text.substr(slash);
  const engine::ExposedPort first = TRY(parse_exposed_port(range.substr(0, dash) + suffix));
  const engine::ExposedPort last =
      TRY(parse_exposed_port((dash == std::string::npos ? range : range.substr(dash + 1)) + suffix));
  return first.protocol == port.protocol && first.port <= port.port && port.port <= last.port;
}

template <class Ports>
bool any_port(const std::set<std::string>& wanted, const Ports& ports) {
  for (const std::string& text : wanted) {
    for (const engine::ExposedPort& port : ports) {
      const Result<bool> hit = covers(text, port);
      if (hit.ok() && *hit) return true;
    }
  }
  return wanted.empty();
}

bool is_shown_by_default(ContainerState state) {
  return state == ContainerState::running || state == ContainerState::paused || state == ContainerState::restarting;
}

}  // namespace

Result<ContainerQuery> ContainerQuery::parse(const Query& query) {
  ContainerQuery parsed;
  parsed.filters_ = TRY(Filters::parse(query.get("filters"), kKnown));
  TRY(check_words(parsed.filters_, "status", kStates, "state"));
  TRY(check_words(parsed.filters_, "health", kHealth, "health"));
  for (const std::string& value : parsed.filters_.values("exited")) {
    if (!parse_unsigned(value)) return invalid("invalid filter 'exited=" + value + "'");
  }
  for (const char* key : {"publish", "expose"}) {
    for (const std::string& value : parsed.filters_.values(key)) {
      const Result<bool> checked = covers(value, {.port = 1});
      if (!checked.ok()) return invalid(std::string("invalid filter '") + key + "=" + value + "'");
    }
  }
  const std::optional<int64_t> limit = TRY(query.number("limit"));
  if (limit && *limit > 0) parsed.limit_ = static_cast<size_t>(*limit);
  parsed.all_ = query.flag("all") || parsed.limit_ > 0 || parsed.filters_.has("status");
  return parsed;
}

bool ContainerQuery::passes(const ListedContainer& container) const {
  const engine::ObservedContainer& seen = container.observed;
  if (!all_ && !is_shown_by_default(seen.state)) return false;
  const std::string health = seen.has_health_check ? engine::to_string(seen.health) : "none";
  const bool exited_matches =
      !filters_.has("exited") || (seen.state == ContainerState::exited && seen.started_at != WallTime{} &&
                                  filters_.exact("exited", std::to_string(seen.exit_code)));
  if (!filters_.exact("status", engine::to_string(seen.state)) || !filters_.exact("health", health) ||
      !exited_matches || !filters_.labels(seen.labels)) {
    return false;
  }
  const std::vector<std::string> names = {seen.name, "/" + seen.name};
  const std::vector<std::string> ids = {seen.id.str()};
  if (!filters_.match("name", names) || !filters_.match("id", ids)) return false;

  std::vector<std::string> networks;
  for (const engine::EndpointDetails& endpoint : container.endpoints) {
    networks.push_back(endpoint.network_name);
    networks.push_back(endpoint.network_id.str());
  }
  std::vector<std::string> volumes;
  for (const engine::MountDetails& mount : container.mounts) {
    volumes.push_back(mount.name);
    volumes.push_back(mount.destination);
    volumes.push_back(mount.source);
  }
  std::vector<engine::ExposedPort> published;
  for (const net::PortForward& port : container.published) {
    if (port.host_port == 0) continue;
    const Result<engine::ExposedPort> outside =
        parse_exposed_port(std::to_string(port.host_port) + "/" + protocol_name(port.protocol));
    if (outside.ok()) published.push_back(*outside);
  }
  return filters_.any_exact("network", networks) && filters_.any_exact("volume", volumes) &&
         filters_.exact("is-task", "false") && any_port(filters_.values("publish"), published) &&
         any_port(filters_.values("expose"), container.exposed);
}

std::optional<std::string> ContainerQuery::project() const {
  constexpr std::string_view kLabel = "com.docker.compose.project=";
  if (filters_.has("before") || filters_.has("since")) return std::nullopt;  // these may name any container
  for (const std::string& label : filters_.values("label")) {
    if (label.starts_with(kLabel)) return label.substr(kLabel.size());
  }
  return std::nullopt;
}

Result<WallTime> ContainerQuery::created_at(const std::string& key,
                                            const std::vector<ListedContainer>& containers) const {
  if (!filters_.has(key)) return WallTime{};
  const std::string& wanted = *filters_.values(key).begin();
  for (const ListedContainer& container : containers) {
    const engine::ObservedContainer& seen = container.observed;
    if (seen.name == wanted || "/" + seen.name == wanted || seen.id.str().starts_with(wanted)) return seen.created_at;
  }
  return not_found("No such container: " + wanted);
}

Result<std::vector<const ListedContainer*>> ContainerQuery::choose(const std::vector<ListedContainer>& containers,
                                                                    const engine::ImageStore& images) const {
  const WallTime before = TRY(created_at("before", containers));
  const WallTime since = TRY(created_at("since", containers));
  std::set<std::string> ancestors;
  for (const std::string& reference : filters_.values("ancestor")) {
    const Result<engine::Image> image = images.find(reference);
    if (image.ok()) ancestors.insert(image->id.str());
  }
  std::vector<const ListedContainer*> chosen;
  for (const ListedContainer& container : containers) {
    if (limit_ != 0 && chosen.size() == limit_) break;
    if (filters_.has("ancestor") && !ancestors.contains(container.observed.image_id.str())) continue;
    if (before != WallTime{} && container.observed.created_at >= before) continue;
    if (since != WallTime{} && container.observed.created_at <= since) continue;
    if (passes(container)) chosen.push_back(&container);
  }
  return chosen;
}

}  // namespace gantry::daemon::docker
