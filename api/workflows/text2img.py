"""Text-to-image as a workflow, made of what a ComfyUI says it offers. Submits nothing, reads no file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import Detail
from ..jobs.ports import Workflow
from .text2img_draft import Draft, Link
from .text2img_family import Family
from .text2img_model import ChosenModel, ShapesOf, choose_model
from .text2img_offers import Offers, find, unknown
from .text2img_params import FamilyName, Text2ImgParams

_LEAST_SIDE = 64
_PREFIX = "text2img"


@dataclass(frozen=True, slots=True)
class Text2Img:
    """A workflow in API format, and what was chosen for it. `warnings` tell what was not taken as it was asked for."""

    workflow: Workflow
    checkpoint: str
    family: FamilyName
    seed: int
    width: int
    height: int
    warnings: tuple[Detail, ...] = ()


def build(
    params: Text2ImgParams,
    object_info: Mapping[str, Any],
    seed: int,
    shapes_of: ShapesOf = lambda _folder, _name: None,
) -> Text2Img:
    """The workflow of a request for the ComfyUI of that object_info; `seed` is taken where the request has none.

    Raises InvalidInput naming each field that this ComfyUI cannot serve: no such model, a node that is not installed.
    """
    offers = Offers(object_info)
    chosen = choose_model(params, offers, shapes_of)
    return _Picture(params, offers, chosen, params.seed if params.seed is not None else seed).built()


class _Picture:
    """One request for one ComfyUI."""

    def __init__(self, params: Text2ImgParams, offers: Offers, chosen: ChosenModel, seed: int) -> None:
        self._params = params
        self._offers = offers
        self._chosen = chosen
        self._family: Family = chosen.family
        self._seed = seed
        self._draft = Draft(offers, f"A picture by {chosen.family.title}")
        self._draft.warnings.extend(chosen.warnings)
        self._width, self._height = self._side("width"), self._side("height")

    def built(self) -> Text2Img:
        """The workflow. Raises InvalidInput with everything that was found wrong."""
        model, clip, vae = self._models()
        model, clip = self._loras(model, clip)
        model = self._patched(self._shifted(model))
        positive, negative = self._conditionings(clip)
        latent = self._draft.add(
            self._family.latent, width=self._width, height=self._height, batch_size=self._params.batch_size
        )
        samples = self._sampled(model, positive, negative, latent)
        images = self._draft.add("VAEDecode", samples=samples, vae=vae)
        self._draft.add("SaveImage", images=images, filename_prefix=_PREFIX)
        return Text2Img(
            self._draft.finished(),
            self._chosen.name,
            self._family.name,
            self._seed,
            self._width,
            self._height,
            tuple(self._draft.warnings),
        )

    # --- the model ---

    def _models(self) -> tuple[Link, Link, Link]:
        """MODEL, CLIP and VAE."""
        chosen = self._chosen
        model = self._draft.add(chosen.loader, **chosen.inputs)
        clip, vae = [model[0], 1], [model[0], 2]
        if chosen.text_encoders:
            clip = self._draft.add(chosen.text_encoders.loader, **chosen.text_encoders.inputs)
        if chosen.vae:
            vae = self._draft.add("VAELoader", vae_name=chosen.vae)
        return model, clip, vae

    def _loras(self, model: Link, clip: Link) -> tuple[Link, Link]:
        choices = self._offers.choices("LoraLoader", "lora_name")
        for index, (asked, weight) in enumerate(self._weighted()):
            name = find(asked, choices)
            if name is None:
                self._draft.faults.append(unknown(f"loras.{index}", asked, choices, "LoRA"))
                continue
            strengths = {"strength_model": weight, "strength_clip": weight}
            loaded = self._draft.add("LoraLoader", "loras", model=model, clip=clip, lora_name=name, **strengths)
            model, clip = loaded, [loaded[0], 1]
        return model, clip

    def _weighted(self) -> list[tuple[str, float]]:
        loras, weights = self._params.loras, self._params.lora_weights
        if isinstance(weights, dict):
            for name in sorted(weights.keys() - set(loras)):
                self._draft.fault(f"lora_weights.{name}", "unknown_lora", "is the weight of none of loras")
            return [(name, weights.get(name, 1.0)) for name in loras]
        if len(weights) > len(loras):
            self._draft.fault("lora_weights", "too_many", f"has {len(weights)} weights for {len(loras)} loras")
        return list(zip(loras, [*weights, *[1.0] * len(loras)], strict=False))

    def _shifted(self, model: Link) -> Link:
        """With the noise schedule that suits the size, where the family has such."""
        if self._family.name == "sd3":
            return self._draft.add("ModelSamplingSD3", model=model)
        if self._family.guided:
            return self._draft.add("ModelSamplingFlux", model=model, width=self._width, height=self._height)
        return model

    def _patched(self, model: Link) -> Link:
        model = self._patch(model, "deepshrink", "PatchModelAddDownscale", "downscale_factor")
        return self._patch(model, "pag", "PerturbedAttentionGuidance", "scale")

    def _patch(self, model: Link, field: str, class_type: str, number: str) -> Link:
        value: bool | float = getattr(self._params, field)
        if value is False:
            return model
        if not self._family.is_unet:
            text = f"does nothing on {self._family.title}: it patches the U-Net of SD1.5 and SDXL; leave it out"
            self._draft.fault(field, "no_effect", text)
            return model
        return self._draft.add(class_type, field, model=model, **({} if value is True else {number: float(value)}))

    # --- the words ---

    def _conditionings(self, clip: Link) -> tuple[Link, Link | None]:
        """Positive and negative; the second is None where there is no use for it."""
        positive = self._draft.add("CLIPTextEncode", text=self._params.caption, clip=clip)
        if self._family.name != "flux":
            return positive, self._draft.add("CLIPTextEncode", text=self._params.negative, clip=clip)
        if self._params.negative.strip():
            self._draft.warn("negative", "no_effect", "has no effect on Flux, which is sampled without a negative")
        if self._family.guided:
            guidance = self._params.cfg or self._family.cfg
            positive = self._draft.add("FluxGuidance", conditioning=positive, guidance=guidance)
        elif self._params.cfg is not None:
            self._draft.warn("cfg", "no_effect", "has no effect on this model, which was trained without guidance")
        return positive, None

    # --- the sampling ---

    def _sampled(self, model: Link, positive: Link, negative: Link | None, latent: Link) -> Link:
        if self._params.detail_daemon is not False or self._params.split_sigmas is not False:
            return self._sampled_apart(model, positive, negative, latent)
        # With a cfg of 1 it is left out of the sampling, but it must be there.
        negative = negative or self._draft.add("ConditioningZeroOut", conditioning=positive)
        return self._draft.add(
            "KSampler",
            model=model,
            seed=self._seed,
            steps=self._steps,
            cfg=self._cfg,
            sampler_name=self._choice("sampler", "sampler_name"),
            scheduler=self._choice("scheduler", "scheduler"),
            positive=positive,
            negative=negative,
            latent_image=latent,
        )

    def _sampled_apart(self, model: Link, positive: Link, negative: Link | None, latent: Link) -> Link:
        """With noise, guider, sampler and sigmas as nodes of their own, which the switches work on."""
        add = self._draft.add
        if negative:
            guider = add("CFGGuider", model=model, positive=positive, negative=negative, cfg=self._cfg)
        else:
            guider = add("BasicGuider", model=model, conditioning=positive)
        noise = add("RandomNoise", noise_seed=self._seed)
        sampler = add("KSamplerSelect", sampler_name=self._choice("sampler", "sampler_name"))
        scheduler = self._choice("scheduler", "scheduler")
        sigmas = add("BasicScheduler", model=model, scheduler=scheduler, steps=self._steps)
        step = self._split_step()
        if step is not None:
            sigmas = add("SplitSigmas", "split_sigmas", sigmas=sigmas, step=step)
            latent = self._run(noise, guider, sampler, sigmas, latent)
            noise, sigmas = add("DisableNoise", "split_sigmas"), [sigmas[0], 1]
        return self._run(noise, guider, self._detailed(sampler), sigmas, latent)

    def _run(self, noise: Link, guider: Link, sampler: Link, sigmas: Link, latent: Link) -> Link:
        return self._draft.add(
            "SamplerCustomAdvanced", noise=noise, guider=guider, sampler=sampler, sigmas=sigmas, latent_image=latent
        )

    def _detailed(self, sampler: Link) -> Link:
        amount = self._params.detail_daemon
        if amount is False:
            return sampler
        given = {} if amount is True else {"detail_amount": float(amount)}
        return self._draft.add("DetailDaemonSamplerNode", "detail_daemon", sampler=sampler, **given)

    def _split_step(self) -> int | None:
        """Where the second part begins; None when it is not split."""
        asked = self._params.split_sigmas
        if asked is False:
            return None
        step = self._steps // 2 if asked is True else asked
        if self._steps < 2:
            self._draft.fault("split_sigmas", "out_of_range", "needs 2 steps at least")
        elif step >= self._steps:
            self._draft.fault("split_sigmas", "out_of_range", f"must be below the number of steps, {self._steps}")
        return step

    # --- values ---

    @property
    def _steps(self) -> int:
        return self._params.steps or self._family.steps

    @property
    def _cfg(self) -> float:
        return 1.0 if self._family.name == "flux" else self._params.cfg or self._family.cfg

    def _side(self, field: str) -> int:
        asked: int = getattr(self._params, field) or self._family.side
        multiple = self._family.multiple
        side = max(_LEAST_SIDE, (asked + multiple // 2) // multiple * multiple)
        if side != asked:
            self._draft.warn(field, "rounded", f"was rounded from {asked} to {side}, a multiple of {multiple}")
        return side

    def _choice(self, field: str, name: str) -> str:
        """The sampler or scheduler asked for, else the family's, else the first there is."""
        choices = self._offers.choices("KSampler", name)
        asked: str | None = getattr(self._params, field)
        if asked is None:
            suited: str = getattr(self._family, field)
            return suited if suited in choices or not choices else choices[0]
        found = find(asked, choices)
        if found is None:
            self._draft.faults.append(unknown(field, asked, choices, field))
        return found or asked
