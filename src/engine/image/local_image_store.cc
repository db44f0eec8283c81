#include "engine/image/local_image_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "engine/image/digest.h"

namespace gantry::engine {
namespace {

std::string boot_id() {
  Result<std::string> text = read_file("/proc/sys/kernel/random/boot_id", 128);
  return text.ok() ? std::string(trim(*text)) : std::string("unknown");
}

Result<> make_private_directory(const std::filesystem::path& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return Error::from_errno(errno, "mkdir", path.native());
}

bool all_hex(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string without_algorithm(const std::string& text) { return text.starts_with("sha256:") ? text.substr(7) : text; }

std::string short_id(const std::string& id) { return hex_part(id).substr(0, 12); }

bool is_digest_name(const std::string& canonical) { return canonical.find('@') != std::string::npos; }

// "docker.io/library/x:1" → "docker.io/library/x"
std::string repository(const std::string& canonical) {
  const size_t at = canonical.find('@');
  if (at != std::string::npos) return canonical.substr(0, at);
  return canonical.substr(0, canonical.rfind(':'));
}

std::string familiar(const std::string& canonical) {
  Result<Reference> reference = Reference::parse(canonical);
  return reference.ok() ? reference->familiar() : canonical;
}

}  // namespace

Result<std::unique_ptr<ImageStore>> ImageStore::open(const std::filesystem::path& root,
                                                     const RegistrySettings& settings) {
  return LocalImageStore::open(root, settings);
}

Result<std::unique_ptr<ImageStore>> LocalImageStore::open(const std::filesystem::path& root,
                                                          const RegistrySettings& settings) {
  TRY(settings.check());
  std::unique_ptr<LocalImageStore> store(new LocalImageStore(root, settings));
  TRY(store->start().within("images"));
  return {std::unique_ptr<ImageStore>(std::move(store))};
}

Result<> LocalImageStore::start() {
  std::error_code error;
  std::filesystem::create_directories(root_, error);
  if (error) return Error::from_errno(error.value(), "mkdir", root_.native());
  for (const char* name : {"blobs", "blobs/sha256", "layers", "tmp", "empty"}) TRY(make_private_directory(root_ / name));
  if (chmod((root_ / "empty").c_str(), 0755) != 0) return Error::from_errno(errno, "chmod", (root_ / "empty").native());
  database_ = TRY(ImageDatabase::open(root_ / "images.db"));
  TRY(load_layers());
  TRY(load_images());
  std::vector<std::string> chains;
  std::vector<std::filesystem::path> garbage = TRY(collect_garbage(chains));
  remove_from_disk(garbage);
  remove_leftovers();
  return {};
}

Result<> LocalImageStore::load_layers() {
  for (LayerRow& row : TRY(database_->layers())) {
    const bool may_be_torn = !row.unsynced_boot.empty() && row.unsynced_boot != boot_;
    std::error_code ignored;
    if (may_be_torn || !std::filesystem::is_directory(layer_directory(row.chain), ignored)) {
      TRY(database_->remove_layer(row.chain));
    } else {
      std::string chain = row.chain;
      layers_.emplace(std::move(chain), std::move(row));
    }
  }
  for (LayerBlobRow& row : TRY(database_->layer_blobs())) {
    std::string diff_id = row.diff_id;
    layer_blobs_.emplace(std::move(diff_id), std::move(row));
  }
  for (const ImageDatabase::CacheRow& row : TRY(database_->cache())) {
    const std::string chain = chain_of_entry(row.value);
    if (chain.empty()) continue;
    if (chain_directories(chain).ok()) {
      cached_chains_.insert(chain);
    } else {
      TRY(database_->cache_remove(row.key));
    }
  }
  return {};
}

Result<> LocalImageStore::load_images() {
  for (ImageRow& row : TRY(database_->images())) {
    Result<std::string> json = read_file(blob_path(row.id), kLargestConfig);
    Result<ImageDocument> document = json.ok() ? parse_image_document(*json) : Result<ImageDocument>(json.error());
    std::string chain;
    if (document.ok()) {
      for (const std::string& diff_id : document->diff_ids) chain = chain_id(chain, diff_id);
    }
    if (!document.ok() || digest_of(*json) != row.id || !chain_directories(chain).ok()) {
      log_warning("image " + short_id(row.id) + " is incomplete (after a power cut?) and is forgotten; pull it again");
      TRY(database_->remove_image(row.id));
      continue;
    }
    Image image = image_from(*document, *json);
    std::string id = row.id;
    images_.emplace(std::move(id), Known{.image = std::move(image), .row = std::move(row), .chain = std::move(chain)});
  }
  for (NameRow& row : TRY(database_->names())) {
    if (images_.contains(row.image)) {
      names_.emplace(std::move(row.name), std::move(row.image));
    } else {
      TRY(database_->remove_name(row.name));
    }
  }
  return {};
}

// What a crash left: temporary files, and files that no row speaks of.
void LocalImageStore::remove_leftovers() {
  std::vector<std::filesystem::path> leftovers;
  std::set<std::string> blobs;
  for (const auto& [id, known] : images_) {
    blobs.insert(hex_part(id));
    for (const std::string& blob : known.row.blobs) blobs.insert(hex_part(blob));
  }
  for (const auto& [diff_id, row] : layer_blobs_) blobs.insert(hex_part(row.digest));
  std::error_code ignored;
  const auto collect = [&](const std::filesystem::path& directory, const auto& is_wanted) {
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
      if (!is_wanted(entry.path().filename().string())) leftovers.push_back(entry.path());
    }
  };
  collect(root_ / "tmp", [](const std::string&) { return false; });
  collect(root_ / "layers", [&](const std::string& name) { return layers_.contains("sha256:" + name); });
  collect(root_ / "blobs/sha256", [&](const std::string& name) { return blobs.contains(name); });
  remove_from_disk(leftovers);
}

LocalImageStore::LocalImageStore(std::filesystem::path root, RegistrySettings settings)
    : root_(std::move(root)), settings_(std::move(settings)), boot_(boot_id()) {}

std::filesystem::path LocalImageStore::layer_directory(const std::string& chain) const {
  return root_ / "layers" / hex_part(chain);
}
std::filesystem::path LocalImageStore::blob_path(const std::string& digest) const {
  return root_ / "blobs/sha256" / hex_part(digest);
}
std::filesystem::path LocalImageStore::temporary_path(const char* purpose) const {
  SystemRandom random;
  return root_ / "tmp" / (std::string(purpose) + "-" + random_hex(random, 8));
}

const LocalImageStore::Known* LocalImageStore::find_known(const std::string& reference) const {
  const std::string hex = without_algorithm(reference);
  const auto by_id = [&](const std::string& id) {
    const auto found = images_.find(id);
    return found == images_.end() ? nullptr : &found->second;
  };
  if (hex.size() == 64 && all_hex(hex)) return by_id("sha256:" + hex);
  Result<Reference> parsed = Reference::parse(reference);
  if (parsed.ok()) {
    if (!parsed->digest.empty()) parsed->tag.clear();  // the digest says it all
    const auto name = names_.find(parsed->canonical());
    if (name != names_.end()) return by_id(name->second);
  }
  if (!all_hex(hex)) return nullptr;
  const std::string prefix = "sha256:" + hex;
  const auto first = images_.lower_bound(prefix);
  if (first == images_.end() || !first->first.starts_with(prefix)) return nullptr;
  const auto second = std::next(first);
  const bool is_unique = second == images_.end() || !second->first.starts_with(prefix);
  return is_unique ? &first->second : nullptr;
}

Result<const LocalImageStore::Known*> LocalImageStore::find_or_error(const std::string& reference) const {
  if (const Known* known = find_known(reference)) return known;
  const bool is_id = is_sha256_digest(reference) || (reference.size() == 64 && all_hex(reference));
  Result<Reference> parsed = Reference::parse(reference);
  if (!is_id && !parsed.ok()) return std::move(parsed).error();
  return not_found("No such image: " + (is_id ? reference : parsed->familiar()));
}

Image LocalImageStore::complete(const Known& known) const {
  Image image = known.image;
  image.parent = known.row.parent;
  image.last_tagged_at = WallTime(std::chrono::nanoseconds(known.row.tagged_ns));
  for (const auto& [name, id] : names_) {
    if (id != known.row.id) continue;
    (is_digest_name(name) ? image.digests : image.tags).push_back(familiar(name));
  }
  for (std::string chain = known.chain; !chain.empty();) {
    const auto layer = layers_.find(chain);
    CHECK(layer != layers_.end());
    image.size += layer->second.size;
    image.chain_ids.push_back(chain);
    image.layer_sizes.push_back(layer->second.size);
    chain = layer->second.parent;
  }
  std::reverse(image.chain_ids.begin(), image.chain_ids.end());
  std::reverse(image.layer_sizes.begin(), image.layer_sizes.end());
  return image;
}

Result<Image> LocalImageStore::find(const std::string& reference) const {
  std::lock_guard lock(mutex_);
  return complete(*TRY(find_or_error(reference)));
}

std::vector<Image> LocalImageStore::list() const {
  std::vector<Image> images;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, known] : images_) images.push_back(complete(known));
  }
  std::stable_sort(images.begin(), images.end(),
                   [](const Image& a, const Image& b) { return a.created_at > b.created_at; });
  return images;
}

Result<> LocalImageStore::set_name(const std::string& name, const std::string& image) {
  TRY(database_->save(NameRow{.name = name, .image = image}));
  names_[name] = image;
  return {};
}

Result<> LocalImageStore::tag(const ImageId& image, const std::string& reference) {
  const Reference parsed = TRY(Reference::parse(reference));
  if (!parsed.digest.empty()) return invalid("refusing to create a tag with a digest reference");
  std::lock_guard lock(mutex_);
  const auto known = images_.find(image.str());
  if (known == images_.end()) return not_found("No such image: " + image.str());
  ImageRow row = known->second.row;
  row.tagged_ns = now_ns();
  TRY(database_->save(row));
  known->second.row = std::move(row);
  return set_name(parsed.canonical(), image.str());
}

Result<ImageId> LocalImageStore::register_image(const NewImage& image) {
  const ImageDocument document = TRY(parse_image_document(image.config_json));
  std::string chain;
  for (const std::string& diff_id : document.diff_ids) chain = chain_id(chain, diff_id);
  ImageRow row{.id = digest_of(image.config_json), .parent = image.parent, .tagged_ns = now_ns()};
  TRY(keep_blob(image.config_json));
  for (const std::string& text : image.documents) {
    TRY(keep_blob(text));
    row.blobs.push_back(digest_of(text));
  }
  const bool is_synced = image.durability == NewImage::Durability::synced;
  if (is_synced) TRY(sync_now());

  std::unique_lock lock(mutex_);
  TRY(chain_directories(chain).within("image " + short_id(row.id)));
  // Somebody may have deleted the same image, and with it these files, since.
  TRY(keep_blob(image.config_json));
  for (const std::string& text : image.documents) TRY(keep_blob(text));
  const auto existing = images_.find(row.id);
  if (existing != images_.end()) {
    for (const std::string& blob : existing->second.row.blobs) {
      if (std::find(row.blobs.begin(), row.blobs.end(), blob) == row.blobs.end()) row.blobs.push_back(blob);
    }
    if (row.parent.empty()) row.parent = existing->second.row.parent;
  }
  TRY(database_->transaction([&]() -> Result<> {
    for (std::string at = chain; is_synced && !at.empty(); at = layers_.at(at).parent) {
      TRY(database_->mark_synced(at));
    }
    TRY(database_->save(row));
    for (const std::string& name : image.names) TRY(database_->save(NameRow{.name = name, .image = row.id}));
    return {};
  }));
  for (std::string at = chain; is_synced && !at.empty(); at = layers_.at(at).parent) {
    layers_.at(at).unsynced_boot.clear();
  }
  for (const std::string& name : image.names) names_[name] = row.id;
  ImageId id(row.id);
  images_.insert_or_assign(row.id, Known{.image = image_from(document, image.config_json), .row = row, .chain = chain});
  lock.unlock();
  if (!is_synced) {
    sync_soon();
  } else {
    TRY(database_->sync());
  }
  return id;
}

Result<ImageId> LocalImageStore::add_image(const std::string& config_json, const std::string& parent) {
  // A commit has a parent, and what it holds is nowhere else; a build can be done again.
  const auto durability = parent.empty() ? NewImage::Durability::soon : NewImage::Durability::synced;
  return register_image({.config_json = config_json, .parent = parent, .durability = durability});
}

// What forbids deleting the image itself. Texts and order as Docker's.
Result<> LocalImageStore::check_removable(const Known& known, bool force, bool ignore_names,
                                          const Users& in_use) const {
  const std::string unable = "conflict: unable to delete " + short_id(known.row.id);
  for (const auto& [id, other] : images_) {
    if (other.row.parent == known.row.id) {
      return conflict(unable + " (cannot be forced) - image has dependent child images");
    }
  }
  if (force) return {};
  const bool has_names =
      std::any_of(names_.begin(), names_.end(), [&](const auto& name) { return name.second == known.row.id; });
  if (has_names && !ignore_names) {
    return conflict(unable + " (must be forced) - image is referenced in multiple repositories");
  }
  const std::vector<std::string> users = in_use ? in_use(known.image.id) : std::vector<std::string>();
  if (users.empty()) return {};
  return conflict(unable + " (must be forced) - image is being used by stopped container " + users.front());
}

Result<> LocalImageStore::remove_image_row(const std::string& id) {
  TRY(database_->remove_image(id));
  images_.erase(id);
  return {};
}

Result<RemovedImages> LocalImageStore::remove(const std::string& reference, bool force, const Users& in_use) {
  RemovedImages removed;
  std::vector<std::filesystem::path> garbage;
  {
    std::lock_guard lock(mutex_);
    const Known& known = *TRY(find_or_error(reference));
    const std::string id = known.row.id;
    std::vector<std::string> names;
    size_t tags = 0;
    std::set<std::string> repositories;
    for (const auto& [name, image] : names_) {
      if (image != id) continue;
      names.push_back(name);
      repositories.insert(repository(name));
      if (!is_digest_name(name)) ++tags;
    }
    const bool single = tags <= 1 && repositories.size() <= 1;
    const bool by_id = hex_part(id).starts_with(without_algorithm(reference));
    const auto untag = [&](const std::string& name) -> Result<> {
      TRY(database_->remove_name(name));
      names_.erase(name);
      names.erase(std::find(names.begin(), names.end(), name));
      removed.untagged.push_back(familiar(name));
      return {};
    };
    if (!by_id) {
      Reference parsed = TRY(Reference::parse(reference));
      if (!parsed.digest.empty()) parsed.tag.clear();
      if (!force && single && in_use) {
        const std::vector<std::string> users = in_use(known.image.id);
        if (!users.empty()) {
          return conflict("conflict: unable to remove repository reference " + gantry::quoted(reference) +
                          " (must force) - container " + users.front() + " is using its referenced image " +
                          short_id(id));
        }
      }
      TRY(untag(parsed.canonical()));
      // Digests of a repository whose last tag went would be names that nobody knows of.
      const std::string same = repository(parsed.canonical());
      const bool has_tag = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return !is_digest_name(name) && repository(name) == same;
      });
      if (!has_tag) {
        for (const std::string& name : std::vector<std::string>(names)) {
          if (repository(name) == same) TRY(untag(name));
        }
      }
      if (!names.empty()) return removed;
    } else if (single) {
      TRY(check_removable(known, force, true, in_use));
      for (const std::string& name : std::vector<std::string>(names)) TRY(untag(name));
    }
    TRY(check_removable(known, force, false, in_use));
    for (const std::string& name : std::vector<std::string>(names)) TRY(untag(name));  // forced
    std::vector<std::string> blobs = known.row.blobs;
    blobs.push_back(id);
    TRY(remove_image_row(id));
    removed.deleted.push_back(id);
    garbage = TRY(collect_garbage(removed.deleted));
    for (const std::string& blob : blobs) {
      const bool is_needed =
          images_.contains(blob) || std::any_of(images_.begin(), images_.end(), [&](const auto& it) {
            return std::find(it.second.row.blobs.begin(), it.second.row.blobs.end(), blob) != it.second.row.blobs.end();
          });
      if (!is_needed) move_aside(blob_path(blob), garbage);
    }
  }
  remove_from_disk(garbage);
  return removed;
}

}  // namespace gantry::engine
