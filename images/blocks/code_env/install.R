library <- file.path(Sys.getenv("PREFIX"), "library")
lines <- function(name) Filter(nzchar, trimws(strsplit(Sys.getenv(name), "\n")[[1]]))
repository <- Sys.getenv("CRAN")
options(repos = c(CRAN = repository), warn = 1, timeout = 300)
wanted <- unique(c("IRkernel", lines("PACKAGES")))
lock <- Filter(function(line) !startsWith(line, "#"), lines("LOCK"))

# A file of a repository; whether it is there.
fetch <- function(address, to) {
  tryCatch(suppressWarnings(download.file(address, to, quiet = TRUE)) == 0, error = function(e) FALSE)
}

if (length(lock) > 0) {
  # A repository of these very versions, so that the order of their installation is R's matter.
  local <- file.path(tempdir(), "exact")
  contrib <- file.path(local, "src", "contrib")
  dir.create(contrib, recursive = TRUE)
  parts <- strsplit(lock, "==", fixed = TRUE)
  for (part in parts) {
    file <- sprintf("%s_%s.tar.gz", part[1], part[2])
    to <- file.path(contrib, file)
    there <- fetch(sprintf("%s/src/contrib/%s", repository, file), to) ||
      fetch(sprintf("%s/src/contrib/Archive/%s/%s", repository, part[1], file), to)
    if (!there) stop(repository, " has no ", file)
  }
  tools::write_PACKAGES(contrib, type = "source")
  install.packages(vapply(parts, `[`, "", 1), lib = library, repos = paste0("file://", local), type = "source")
} else {
  # What the base image has is not installed a second time.
  fresh <- setdiff(wanted, rownames(installed.packages()))
  if (length(fresh) > 0) install.packages(fresh, lib = library)
  missing <- setdiff(wanted, rownames(installed.packages()))
  if (length(missing) > 0) stop("not installed: ", paste(missing, collapse = ", "))
}
own <- installed.packages(lib.loc = library)
have <- sprintf("%s==%s", own[, "Package"], own[, "Version"])
missing <- setdiff(lock, have)
if (length(missing) > 0) stop("not installed: ", paste(missing, collapse = ", "))
writeLines(have, file.path(Sys.getenv("PREFIX"), "lock.txt"))
