"""The keys that other trainers know, after their parsers and configuration classes; a key that is not here is a mistake
of ours.

sd-scripts takes any key and ignores the unknown, ai-toolkit, OneTrainer and the trainings of musubi-tuner too, so that
a wrong one would go unnoticed in a real run. Sources: kohya-ss/sd-scripts library/train_util.py,
config_util.py, custom_train_functions.py, sdxl_train_util.py, sd3_train_utils.py, flux_train_utils.py,
train_network.py; ostris/ai-toolkit toolkit/config_modules.py; Nerogar/OneTrainer modules/util/config/*.py;
bghira/SimpleTuner documentation/OPTIONS.md and DATALOADER.md; kohya-ss/musubi-tuner src/musubi_tuner/training/
parser_common.py, dataset/config_utils.py and the scripts of its families. Not read there but known: network scripts and
optimizers, some SDXL and SD 3 options of sd-scripts. SimpleTuner's are those of 3.1.6 and 4.10.1, which read our files.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KOHYA_TRAINING = _names("""
    v2 v_parameterization pretrained_model_name_or_path tokenizer_cache_dir
    optimizer_type use_8bit_adam use_lion_optimizer learning_rate max_grad_norm optimizer_args lr_scheduler_type
    lr_scheduler_args lr_scheduler
    lr_warmup_steps lr_scheduler_num_cycles lr_scheduler_power fused_backward_pass
    output_dir output_name huggingface_repo_id huggingface_repo_type huggingface_path_in_repo huggingface_token
    huggingface_repo_visibility
    save_state_to_huggingface resume_from_huggingface async_upload save_precision save_every_n_epochs save_every_n_steps
    save_n_epoch_ratio
    save_last_n_epochs save_last_n_epochs_state save_last_n_steps save_last_n_steps_state save_state
    save_state_on_train_end resume
    train_batch_size max_token_length mem_eff_attn torch_compile dynamo_backend xformers sdpa vae max_train_steps
    max_train_epochs
    max_data_loader_n_workers persistent_data_loader_workers seed gradient_checkpointing gradient_accumulation_steps
    mixed_precision full_fp16
    full_bf16 fp8_base ddp_timeout ddp_gradient_as_bucket_view ddp_static_graph clip_skip logging_dir log_with
    log_prefix log_tracker_name
    wandb_run_name log_tracker_config wandb_api_key log_config noise_offset noise_offset_random_strength
    multires_noise_iterations
    ip_noise_gamma ip_noise_gamma_random_strength multires_noise_discount adaptive_noise_scale zero_terminal_snr
    min_timestep max_timestep
    loss_type huber_schedule huber_c lowram highvram sample_every_n_steps sample_at_first sample_every_n_epochs
    sample_prompts sample_sampler
    config_file output_config metadata_title metadata_author metadata_description metadata_license metadata_tags
    prior_loss_weight
    conditioning_data_dir masked_loss
    train_data_dir cache_info shuffle_caption caption_separator caption_extension keep_tokens keep_tokens_separator
    secondary_separator
    enable_wildcard caption_prefix caption_suffix color_aug flip_aug face_crop_aug_range random_crop debug_dataset
    resolution cache_latents
    vae_batch_size cache_latents_to_disk enable_bucket min_bucket_reso max_bucket_reso bucket_reso_steps
    bucket_no_upscale token_warmup_min
    token_warmup_step alpha_mask dataset_class caption_dropout_rate caption_dropout_every_n_epochs
    caption_tag_dropout_rate reg_data_dir in_json
    dataset_repeats dataset_config
    min_snr_gamma scale_v_pred_loss_like_noise_pred v_pred_like_loss debiased_estimation_loss weighted_captions
    no_metadata save_model_as unet_lr text_encoder_lr network_weights network_module network_dim network_alpha
    network_dropout network_args
    network_train_unet_only network_train_text_encoder_only training_comment dim_from_weights scale_weight_norms
    base_weights
    base_weights_multiplier no_half_vae skip_until_initial_step initial_epoch initial_step
""")
"""Of every network script."""
KOHYA_OF_FAMILY = {
    "sd15": frozenset[str](),
    "sdxl": _names("cache_text_encoder_outputs cache_text_encoder_outputs_to_disk disable_mmap_load_safetensors"),
    "sd35": _names(
        """clip_l clip_g t5xxl save_clip save_t5xxl t5xxl_device t5xxl_dtype t5xxl_max_token_length apply_lg_attn_mask
        apply_t5_attn_mask
        clip_l_dropout_rate clip_g_dropout_rate t5_dropout_rate pos_emb_random_crop_rate enable_scaled_pos_embed
        training_shift
        cache_text_encoder_outputs cache_text_encoder_outputs_to_disk text_encoder_batch_size
        disable_mmap_load_safetensors weighting_scheme
        logit_mean logit_std mode_scale blocks_to_swap cpu_offload_checkpointing"""
    ),
    "flux": _names(
        """clip_l t5xxl ae t5xxl_max_token_length apply_t5_attn_mask cache_text_encoder_outputs
        cache_text_encoder_outputs_to_disk
        text_encoder_batch_size disable_mmap_load_safetensors weighting_scheme logit_mean logit_std mode_scale
        guidance_scale timestep_sampling
        sigmoid_scale model_prediction_type discrete_flow_shift blocks_to_swap cpu_offload_checkpointing model_type"""
    ),
}
KOHYA_OF_FAMILY["anima"] = _names(
    """qwen3 llm_adapter_path t5_tokenizer_path llm_adapter_lr self_attn_lr cross_attn_lr mlp_lr mod_lr
    qwen3_max_token_length t5_max_token_length timestep_sampling discrete_flow_shift sigmoid_scale attn_mode split_attn
    vae_chunk_size vae_disable_cache unsloth_offload_checkpointing cache_text_encoder_outputs
    cache_text_encoder_outputs_to_disk text_encoder_batch_size weighting_scheme logit_mean logit_std mode_scale
    blocks_to_swap cpu_offload_checkpointing"""
)
KOHYA_OF_FAMILY["chroma"] = KOHYA_OF_FAMILY["flux"]
KOHYA_SUBSET = _names(
    """color_aug face_crop_aug_range flip_aug num_repeats random_crop shuffle_caption keep_tokens keep_tokens_separator
    secondary_separator
    enable_wildcard token_warmup_min token_warmup_step caption_prefix caption_suffix caption_dropout_every_n_epochs
    caption_dropout_rate
    caption_tag_dropout_rate caption_extension class_tokens cache_info image_dir is_reg"""
)
KOHYA_GENERAL = (KOHYA_SUBSET - {"image_dir", "is_reg"}) | _names(
    "batch_size bucket_no_upscale bucket_reso_steps enable_bucket max_bucket_reso min_bucket_reso resolution"
    " network_multiplier"
)
KOHYA_DATASET = KOHYA_GENERAL | {"subsets"}
"""config_util.py checks datasets against exactly these, and stops at others."""
KOHYA_CHOICES = {
    "save_model_as": {"ckpt", "pt", "safetensors"},
    "save_precision": {"float", "fp16", "bf16"},
    "mixed_precision": {"no", "fp16", "bf16"},
    "timestep_sampling": {"sigma", "uniform", "sigmoid", "shift", "flux_shift"},
    "model_prediction_type": {"raw", "additive", "sigma_scaled"},
    "weighting_scheme": {"sigma_sqrt", "logit_normal", "mode", "cosmap", "none", "uniform"},
    "lr_scheduler": {
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "adafactor",
    },
}

AI_TOOLKIT = {
    "process": _names(
        "type training_folder device training_seed trigger_word network save datasets train model sample logging"
    ),
    "network": _names(
        "type rank linear conv alpha linear_alpha conv_alpha dropout network_kwargs lorm transformer_only"
        " lokr_full_rank lokr_factor"
    ),
    "save": _names("save_every dtype max_step_saves_to_keep save_format push_to_hub hf_repo_id hf_private"),
    "datasets": _names(
        """type folder_path dataset_path default_caption trigger_word random_triggers random_triggers_max caption_ext
        random_scale random_crop
        resolution scale buckets bucket_tolerance is_reg network_weight token_dropout_rate shuffle_tokens
        caption_dropout_rate keep_tokens flip_x
        flip_y augments control_path mask_path invert_mask mask_min_value num_repeats cache_latents
        cache_latents_to_disk cache_text_embeddings
        loss_multiplier num_workers square_crop"""
    ),
    "train": _names(
        """noise_scheduler content_or_style steps lr unet_lr text_encoder_lr optimizer optimizer_params lr_scheduler
        lr_scheduler_params
        min_denoising_steps max_denoising_steps batch_size dtype xformers sdp train_unet train_text_encoder
        min_snr_gamma snr_gamma noise_offset
        skip_first_sample force_first_sample gradient_checkpointing max_grad_norm start_step reg_weight
        num_train_timesteps prompt_dropout_prob
        gradient_accumulation_steps gradient_accumulation diff_output_preservation diff_output_preservation_multiplier
        diff_output_preservation_class loss_type ema_config timestep_type linear_timesteps linear_timesteps2
        disable_sampling
        unload_text_encoder cache_text_embeddings bypass_guidance_embedding"""
    ),
    "model": _names(
        """name_or_path is_v2 is_xl is_v3 is_flux is_v_pred dtype vae_path assistant_lora_path inference_lora_path
        quantize quantize_te qtype
        qtype_te low_vram attn_masking te_name_or_path arch extras_name_or_path model_kwargs"""
    ),
    "sample": _names(
        "sampler sample_every width height neg seed walk_seed guidance_scale sample_steps prompts samples"
    ),
}
AI_TOOLKIT_SCHEDULES = {"cosine", "cosine_with_restarts", "step", "constant", "linear", "constant_with_warmup"}

ONETRAINER = _names(
    """__version training_method model_type workspace_dir cache_dir tensorboard validation continue_last_backup
    base_model_name output_dtype
    output_model_format output_model_destination gradient_checkpointing compile concept_file_name concepts
    aspect_ratio_bucketing latent_caching
    clear_cache_before_training learning_rate_scheduler learning_rate learning_rate_warmup_steps learning_rate_cycles
    learning_rate_min_factor
    epochs batch_size gradient_accumulation_steps ema ema_decay ema_update_step_interval train_device train_dtype
    fallback_train_dtype resolution
    loss_weight_fn loss_weight_strength dropout_probability loss_scaler learning_rate_scaler clip_grad_norm
    offset_noise_weight masked_training unmasked_probability unmasked_weight normalize_masked_area_loss
    rescale_noise_scheduler_to_zero_terminal_snr force_v_prediction force_epsilon_prediction timestep_distribution
    noising_weight noising_bias
    timestep_shift dynamic_timestep_shifting unet prior transformer quantization text_encoder text_encoder_2
    text_encoder_3 text_encoder_4 vae
    layer_filter layer_filter_preset layer_filter_regex peft_type lora_model_name lora_rank lora_alpha lora_decompose
    lora_weight_dtype optimizer
    sample_definition_file_name samples sample_after sample_after_unit backup_after backup_after_unit save_every
    save_every_unit"""
)
ONETRAINER_PART = _names(
    "model_name include train stop_training_after stop_training_after_unit learning_rate weight_dtype"
    " dropout_probability train_embedding attention_mask guidance_scale"
)
ONETRAINER_CONCEPT = _names(
    "name path seed enabled type include_subdirectories image_variations text_variations balancing balancing_strategy"
    " loss_weight image text"
)
ONETRAINER_SCHEDULES = {
    "CONSTANT",
    "LINEAR",
    "COSINE",
    "COSINE_WITH_RESTARTS",
    "COSINE_WITH_HARD_RESTARTS",
    "REX",
    "ADAFACTOR",
    "CUSTOM",
}

SIMPLETUNER = _names(
    """model_type lora_type model_family model_flavour pretrained_model_name_or_path pretrained_vae_model_name_or_path
    data_backend_config output_dir lora_rank lora_alpha lora_dropout max_train_steps num_train_epochs train_batch_size
    learning_rate lr_scheduler lr_end gradient_accumulation_steps lr_warmup_steps lr_num_cycles lr_power optimizer
    mixed_precision gradient_checkpointing resolution resolution_type caption_dropout_probability
    checkpoint_step_interval checkpoints_total_limit resume_from_checkpoint seed minimum_image_size maximum_image_size
    target_downsample_size aspect_bucket_rounding validation_prompt validation_step_interval validation_resolution
    report_to snr_gamma offset_noise noise_offset noise_offset_probability prediction_type rescale_betas_zero_snr
    flow_schedule_shift flow_schedule_auto_shift max_grad_norm optimizer_config base_model_precision"""
)
"""Options that the parsers of 3.1.6 and 4.10.1 both know (``get_argument_parser``)."""
SIMPLETUNER_WHOLE = _names(
    """lora_rank max_train_steps num_train_epochs train_batch_size gradient_accumulation_steps lr_warmup_steps
    resolution checkpoint_step_interval checkpoints_total_limit seed minimum_image_size aspect_bucket_rounding
    validation_step_interval snr_gamma"""
)
"""Of these, those that both parse as whole numbers: "5.0" is an error."""
SIMPLETUNER_CHOICES = {
    "lr_scheduler": {
        "linear", "sine", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup",
    },
    "base_model_precision": {"no_change", "int8-quanto", "int8-torchao", "nf4-bnb", "fp8-torchao"},
    "report_to": {"tensorboard", "wandb", "swanlab", "comet_ml", "custom-tracker", "all", "none"},
    "resolution_type": {"pixel", "area", "pixel_area"},
    "mixed_precision": {"no", "fp16", "bf16", "fp8"},
}  # fmt: skip
"""Values of both; of the precisions, those of a machine with CUDA that every family here may have."""
SIMPLETUNER_BACKEND = _names(
    """id type dataset_type instance_data_dir caption_strategy metadata_backend repeats crop resolution resolution_type
    minimum_image_size
    maximum_image_size target_downsample_size is_regularisation_data cache_dir_vae default cache_dir write_batch_size
    disabled"""
)

MUSUBI_TRAINING = _names("""
    config_file dataset_config sdpa flash_attn sage_attn xformers flash3 split_attn compile compile_backend compile_mode
    compile_dynamic compile_fullgraph compile_cache_size_limit cuda_allow_tf32 cuda_cudnn_benchmark dynamo_backend
    dynamo_mode dynamo_fullgraph dynamo_dynamic max_train_steps max_train_epochs max_data_loader_n_workers
    persistent_data_loader_workers seed gradient_checkpointing gradient_checkpointing_cpu_offload
    gradient_accumulation_steps mixed_precision logging_dir log_with log_prefix log_tracker_name wandb_run_name
    log_tracker_config wandb_api_key log_config ddp_timeout ddp_gradient_as_bucket_view ddp_static_graph
    sample_every_n_steps sample_at_first sample_every_n_epochs sample_prompts optimizer_type optimizer_args
    learning_rate max_grad_norm lr_scheduler lr_warmup_steps lr_decay_steps lr_scheduler_num_cycles lr_scheduler_power
    lr_scheduler_timescale lr_scheduler_min_lr_ratio lr_scheduler_type lr_scheduler_args fp8_base fp8_scaled
    blocks_to_swap use_pinned_memory_for_block_swap img_in_txt_in_offloading disable_numpy_memmap guidance_scale
    timestep_sampling discrete_flow_shift sigmoid_scale weighting_scheme logit_mean logit_std mode_scale min_timestep
    max_timestep preserve_distribution_shape num_timestep_buckets show_timesteps no_metadata network_weights
    network_module network_dim network_alpha network_dropout network_args training_comment dim_from_weights
    scale_weight_norms base_weights base_weights_multiplier output_dir output_name resume save_every_n_epochs
    save_every_n_steps save_last_n_epochs save_last_n_epochs_state save_last_n_steps save_last_n_steps_state save_state
    save_state_on_train_end metadata_title metadata_author metadata_description metadata_license metadata_tags
    metadata_reso metadata_arch dit vae vae_dtype
""")
"""Of every network script; those for the hub are left out."""
MUSUBI_COMMANDS = {
    "cache_latents": _names(
        "dataset_config vae vae_dtype device batch_size num_workers skip_existing keep_cache debug_mode"
    ),
    "cache_text_encoder_outputs": _names(
        "dataset_config device batch_size num_workers skip_existing keep_cache text_encoder"
    ),
    "train_network": MUSUBI_TRAINING | {"text_encoder"},
}
"""Of the three scripts of a family; those of Qwen-Image and FLUX.2 know ``model_version``, too."""
MUSUBI_VERSIONS = {
    "zimage": None,
    "krea2": None,
    "qwen_image": {"original", "layered", "edit", "edit-2509", "edit-2511"},
    "flux_2": {
        "flux.2-dev",
        "flux.2-klein-4b",
        "flux.2-klein-base-4b",
        "flux.2-klein-9b",
        "flux.2-klein-base-9b",
    },
}
MUSUBI_GENERAL = _names(
    "caption_extension batch_size num_repeats resolution enable_bucket bucket_no_upscale skip_corrupted_cache"
)
MUSUBI_DATASET = MUSUBI_GENERAL | _names(
    "image_directory image_jsonl_file cache_directory control_directory multiple_target no_resize_control"
    " control_resolution"
)
"""Its config_utils.py checks datasets against these and those of video models, and stops at others."""
MUSUBI_NETWORK_ARGS = _names("rank_dropout module_dropout loraplus_lr_ratio factor")
MUSUBI_CHOICES = {
    "mixed_precision": {"no", "fp16", "bf16"},
    "timestep_sampling": {
        "sigma",
        "uniform",
        "sigmoid",
        "shift",
        "flux_shift",
        "flux2_shift",
        "ideogram4_shift",
        "krea2_shift",
        "qwen_shift",
        "logsnr",
        "qinglong_flux",
        "qinglong_qwen",
    },
    "weighting_scheme": {"logit_normal", "mode", "cosmap", "sigma_sqrt", "none"},
    "lr_scheduler": {
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "adafactor",
        "rex",
    },
}
