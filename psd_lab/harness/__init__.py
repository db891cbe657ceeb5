"""The model plug-in for lm-evaluation-harness (extra `lm-eval`).

It runs the harness's generate_until tasks with any decoder of this package.

    python -m psd_lab.harness run --model psd --tasks gsm8k --output_path out --use_cache out/cache
    \\
        --model_args pretrained=GSAI-ML/LLaDA-1.5,dtype=bfloat16,decoder=psd,threshold=0.9,depth=3

The module is lm-eval's own command with the model `psd` registered. From Python, `import
psd_lab.harness.plugin` registers it.
"""
