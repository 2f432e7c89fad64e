# SPDX-License-Identifier: Apache-2.0
"""Nodes of ComfyUI that load a variant of an archive. To use them, put this folder into
custom_nodes, archives into models/qstore, and the package into ComfyUI's environment.

They hand tensors to the same functions of ComfyUI to which its own loaders hand those of a
safetensors file, so that it finds out what model it is as it always does.
"""

import os

import comfy.sd
import folder_paths
import qstore

FOLDER = "qstore"
CATEGORY = "loaders/qstore"

folder_paths.folder_names_and_paths.setdefault(
    FOLDER, ([os.path.join(folder_paths.models_dir, FOLDER)], {".qstore"})
)


def open_variant(archive, variant, file=""):
    """The tensors of a variant, or of one of its files, and the metadata beside them."""
    path = folder_paths.get_full_path_or_raise(FOLDER, archive)
    if file:
        # A pipeline keeps each component in a folder of its own, with names that may be the same.
        return read_file(path, variant or None, file)
    with qstore.safe_open(path, variant or None) as f:
        return f.get_tensors(), f.metadata()


def read_file(path, variant, file):
    """Files of a variant are restored in the cache of `qstore get`, as ComfyUI may map them."""
    from comfy.utils import load_torch_file

    return load_torch_file(os.fspath(qstore.get(path, variant, file=file)), return_metadata=True)


def inputs(**more):
    names = folder_paths.get_filename_list(FOLDER)
    variant = ("STRING", {"default": "", "tooltip": "may be empty where there is only one"})
    return {"required": {"archive": (names,), "variant": variant, **more}}


class Loader:
    CATEGORY = CATEGORY
    FUNCTION = "load"

    @classmethod
    def IS_CHANGED(cls, archive, **_):
        """Loads again when the archive is another file."""
        found = os.stat(folder_paths.get_full_path_or_raise(FOLDER, archive))
        return f"{found.st_size} {found.st_mtime_ns}"


class QStoreCheckpointLoader(Loader):
    """A checkpoint of one file: model, text encoder and VAE."""

    RETURN_TYPES = ("MODEL", "CLIP", "VAE")

    @classmethod
    def INPUT_TYPES(cls):
        return inputs()

    def load(self, archive, variant):
        tensors, metadata = open_variant(archive, variant)
        loaded = comfy.sd.load_state_dict_guess_config(
            tensors,
            output_vae=True,
            output_clip=True,
            embedding_directory=folder_paths.get_folder_paths("embeddings"),
            metadata=metadata,
        )
        if loaded is None:
            raise RuntimeError(
                f"{archive}: variant {variant!r} is no checkpoint that ComfyUI knows"
            )
        return loaded[:3]


class QStoreDiffusionModelLoader(Loader):
    """A diffusion model alone, such as the transformer of Flux."""

    RETURN_TYPES = ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls):
        return inputs(file=("STRING", {"default": "", "tooltip": "of a pipeline, its component"}))

    def load(self, archive, variant, file=""):
        tensors, metadata = open_variant(archive, variant, file)
        model = comfy.sd.load_diffusion_model_state_dict(tensors, metadata=metadata)
        if model is None:
            raise RuntimeError(f"{archive}: variant {variant!r} is no model that ComfyUI knows")
        return (model,)


NODE_CLASS_MAPPINGS = {
    "QStoreCheckpointLoader": QStoreCheckpointLoader,
    "QStoreDiffusionModelLoader": QStoreDiffusionModelLoader,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "QStoreCheckpointLoader": "Load Checkpoint (QStore)",
    "QStoreDiffusionModelLoader": "Load Diffusion Model (QStore)",
}
