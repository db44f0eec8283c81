// COPY and ADD: what an instruction names → a plan that can be hashed for the cache and carried out into a layer.
// Blocking; one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/build/cache_key.h"
#include "engine/build/file_digests.h"
#include "engine/build/layer_writer.h"
#include "engine/build/source_tree.h"
#include "engine/build/symbolic_mode.h"

namespace gantry::engine {

// A file that the Dockerfile itself holds.
struct TextSourceFile {
  std::string name;
  std::string content;
};

struct CopyPlan {
  const SourceTree* tree = nullptr;  // null: only texts
  std::vector<SourceTree::Match> matches;
  std::vector<TextSourceFile> texts;
  std::string destination;          // absolute
  bool is_into_directory = false;   // the destination ended with "/", or was "."
  std::optional<Owner> owner;       // none: the source's own (COPY --from)
  Owner parents;                    // of directories that are made on the way
  std::optional<ModeChange> mode;   // --chmod
  bool unpacks_archives = false;    // ADD
  bool keeps_parents = false;       // --parents
  IgnorePatterns excluded = {};     // --exclude
  std::vector<std::string> exclude_texts = {};
  FileDigests* digests = nullptr;   // of the tree's files, if it is one whose files may be unchanged
};

// Of a match at `path` ("/a/b/c") for the source "a/b/c" or "a/./b/c": "a/b", or "b" behind the pivot.
std::string parents_kept(const std::string& source, const std::string& path);

// Adds names, kinds, modes, owners, sizes and contents; no times.
Result<> add_to_key(const CopyPlan& plan, CacheKey& key);

// `temporary` is a directory for unpacked archives, emptied by the caller.
Result<> carry_out(const CopyPlan& plan, LayerWriter& writer, const std::filesystem::path& temporary);

}  // namespace gantry::engine
